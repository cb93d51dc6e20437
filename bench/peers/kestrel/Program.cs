// The answer of weave http without a directory, by Kestrel: a minimal API, published with NativeAOT. It
// writes the bytes itself and says how many, which is the fastest way that a handler has.
//
//   kestrel-hello URL

using System.Buffers;

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.UseUrls(args[0]);
WebApplication app = builder.Build();

byte[] body = "Hello, World!"u8.ToArray();
app.MapGet("/", (HttpContext context) =>
{
    context.Response.ContentType = "text/plain; charset=utf-8";
    context.Response.ContentLength = body.Length;
    context.Response.BodyWriter.Write(body);
    return Task.CompletedTask;
});
app.Run();
