// The database, by Npgsql's synchronous calls. Npgsql's own pool lets one synchronous caller at a time wait for
// a connection, and wakes it by way of the thread pool; so whoever waits here waits in a semaphore of Weft's
// instead, which has as many places as the pool has connections, and parks in order of arrival.

using Npgsql;
using Semaphore = Weft.Semaphore;

namespace Web;

/// <summary>Items of the database, for any number of callers at once.</summary>
/// <param name="source">Where the connections come from.</param>
/// <param name="connections">How many there are at most; null leaves it to the source to wait for
/// one.</param>
internal sealed class Items(NpgsqlDataSource source, int? connections)
{
    private readonly Semaphore? _places = connections is int count ? new Semaphore(count) : null;

    internal Item? Find(int id, CancellationToken token)
    {
        _places?.Acquire(token: token);
        try
        {
            using NpgsqlConnection connection = source.OpenConnection();
            using NpgsqlCommand command = Command(connection, id);
            using NpgsqlDataReader reader = command.ExecuteReader();
            return reader.Read() ? new Item(id, reader.GetString(0)) : null;
        }
        finally
        {
            _places?.Release();
        }
    }

    internal static NpgsqlCommand Command(NpgsqlConnection connection, int id)
    {
        NpgsqlCommand command = new("SELECT name FROM item WHERE id = $1", connection);
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = id });
        return command;
    }
}
