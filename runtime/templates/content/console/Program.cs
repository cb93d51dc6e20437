using Weft;

// The main goroutine: when it returns, the program ends, whatever the others do.
return WeftHost.Run(() =>
{
    Chan<int> jobs = new();
    Chan<long> squares = new(capacity: 16);
    WaitGroup workers = new();
    for (int i = 0; i < 100; i++)
    {
        workers.Go(() =>
        {
            foreach (int job in jobs) // Until the channel is closed and empty.
            {
                squares.Send((long)job * job);
            }
        });
    }
    Go.Run(() =>
    {
        for (int job = 1; job <= 1000; job++)
        {
            jobs.Send(job);
        }
        jobs.Close();
        workers.Wait();
        squares.Close();
    });
    Console.WriteLine($"100 goroutines: 1 + 4 + 9 + ... + 1,000,000 = {squares.Sum()}");
});
