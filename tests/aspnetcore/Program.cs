// The server that AspNetCoreTests asks: each endpoint is one promise of Weft.AspNetCore.

using Weft;
using Weft.AspNetCore;
using Weft.Tests;

AsyncLocal<string> local = new();
Chan<string> ended = new(100);
int sleeping = 0;

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.ClearProviders();
if (builder.Configuration["sockets"] == "goroutines")
{
    builder.WebHost.UseGoroutineSockets();
}
if (builder.Configuration["tls"] == "yes")
{
    builder.WebHost.UseKestrelHttpsConfiguration();
    builder.WebHost.ConfigureKestrel(
        options => options.ConfigureHttpsDefaults(https => https.ServerCertificate = Certificate.Make()));
}
WebApplication app = builder.Build();

// What the middleware before it catches, and what flows to the endpoint.
app.Use(async (context, next) =>
{
    local.Value = context.Request.Query["local"].ToString();
    try
    {
        await next(context);
    }
    catch (OperationCanceledException e) when (e.Message == "by the endpoint")
    {
        context.Response.StatusCode = StatusCodes.Status418ImATeapot;
    }
});
app.UseGoroutines();

app.MapGet("/sleep", () =>
{
    int together = Interlocked.Increment(ref sleeping);
    Thread.Sleep(500);
    _ = Interlocked.Decrement(ref sleeping);
    return $"{together} {Directory.GetDirectories("/proc/self/task").Length}";
});
app.MapGet("/fail", string () => throw new InvalidOperationException("by the endpoint"));
app.MapGet("/cancel", string () => throw new OperationCanceledException("by the endpoint"));
app.MapGet("/local", () => $"{local.Value} {Go.IsGoroutine}");
app.MapGet("/task", async () =>
{
    bool before = Go.IsGoroutine;
    await Task.Delay(20);
    return $"{before} {local.Value}";
});
app.MapGet("/delegate", context =>
{
    Thread.Sleep(1);
    context.Response.Body.Write("written"u8);
    return Task.CompletedTask;
});
app.MapPost("/body", context =>
{
    using StreamReader reader = new(context.Request.Body);
    using StreamWriter writer = new(context.Response.Body);
    writer.Write(reader.ReadToEnd().Length);
    return Task.CompletedTask;
});

// Five million bytes, whose place says what they are.
app.MapGet("/large", context =>
{
    byte[] part = new byte[10_000];
    for (int i = 0; i < part.Length; i++)
    {
        part[i] = (byte)(i % 251);
    }
    for (int i = 0; i < 500; i++)
    {
        context.Response.Body.Write(part);
    }
    return Task.CompletedTask;
});
app.MapGet("/reset", context =>
{
    context.Abort();
    return Task.CompletedTask;
});

// A request that waits until the client has gone, and one whose goroutine outlives it.
app.MapGet("/watch", context =>
{
    Context request = context.GoContext();
    context.Response.Body.Write("watching"u8);
    context.Response.Body.Flush();
    _ = request.Done.Receive(out _);
    ended.Send($"watch {request.Err is OperationCanceledException} {request == context.GoContext()}");
    return Task.CompletedTask;
});
app.MapGet("/outlive", (HttpContext context) =>
{
    Context request = context.GoContext();
    Go.Run(() =>
    {
        _ = request.Done.Receive(out _);
        ended.Send("outlive");
    });
    return $"{request.Err is null}";
});
app.MapGet("/ended", () => ended.Receive());

await app.StartAsync();
Console.WriteLine(app.Urls.First());
await app.WaitForShutdownAsync();
