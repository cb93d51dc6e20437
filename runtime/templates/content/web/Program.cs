using Weft;
using Weft.AspNetCore;

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.WebHost.UseGoroutineSockets();
WebApplication app = builder.Build();
app.UseGoroutines(); // What is mapped below runs on goroutines, one for each request.

app.MapGet("/", () => "Hello from a goroutine!\n");

// Two answers are waited for at once, in blocking code; a thousand such requests take no thousand threads.
app.MapGet("/both", () =>
{
    Chan<string> answers = new(capacity: 2);
    foreach (string name in (string[])["one", "two"])
    {
        Go.Run(() => answers.Send(Ask(name)));
    }
    return $"{answers.Receive()}, {answers.Receive()}\n";
});

app.Run();

static string Ask(string name)
{
    Thread.Sleep(100); // Some other server.
    return name;
}
