// One line on the terminal that says how far the count is. A timer draws it, so that a single large
// file moves it too; the goroutines only add to two numbers.

using System.Globalization;
using Weave.Files;

namespace Weave.Count;

internal sealed class Progress : IDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);

    private readonly Timer? _timer;
    private readonly Lock _lock = new();
    private long _files;
    private long _bytes;
    private bool _isShown;
    private bool _isOver;

    internal Progress()
    {
        if (!Console.IsErrorRedirected)
        {
            _timer = new Timer(_ => Draw(), null, s_interval, s_interval);
        }
    }

    internal void AddFile() => Interlocked.Increment(ref _files);

    internal void AddBytes(int bytes) => Interlocked.Add(ref _bytes, bytes);

    /// <summary>Takes the line away, for good.</summary>
    public void Dispose()
    {
        _timer?.Dispose();
        lock (_lock)
        {
            if (_isShown)
            {
                Output.WriteError("\r\e[K");
            }

            _isShown = false;
            _isOver = true;
        }
    }

    private void Draw()
    {
        lock (_lock)
        {
            if (!_isOver)
            {
                double megabytes = Interlocked.Read(ref _bytes) / 1e6;
                Output.WriteError(string.Create(
                    CultureInfo.InvariantCulture,
                    $"\r{Interlocked.Read(ref _files):N0} files, {megabytes:N1} MB\e[K"));
                _isShown = true;
            }
        }
    }
}
