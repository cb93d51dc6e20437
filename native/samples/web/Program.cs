// A web server that answers from a database and from another service, in three ways:
//
//   web goroutines   blocking code, each request on a goroutine
//   web async        the same endpoints with async and await
//   web threads      the same blocking code, on the threads of the pool
//   web service      the other service
//   web query COUNT  no server: that many goroutines query the database, each once
//
// Settings follow, as for every such program: --urls, --database, --service.

using Npgsql;
using Web;
using Weft.AspNetCore;

if (args is [])
{
    Console.Error.WriteLine(
        "usage: web goroutines|async|threads --urls URL --database CONNECTION --service URL\n"
        + "       web service --urls URL\n"
        + "       web query COUNT --database CONNECTION");
    return 2;
}

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args[1..]);
builder.Logging.SetMinimumLevel(LogLevel.Error);
builder.Services.ConfigureHttpJsonOptions(
    options => options.SerializerOptions.TypeInfoResolverChain.Insert(0, AnswerJson.Default));
if (args[0] == "goroutines")
{
    builder.WebHost.UseGoroutineSockets();
}
WebApplication app = builder.Build();

if (args[0] == "service")
{
    app.MapGet("/price/{id}", async (int id) =>
    {
        await Task.Delay(20);
        return new Price(id, 100 + id % 7);
    });
    app.Run();
    return 0;
}

await using NpgsqlDataSource source = new NpgsqlSlimDataSourceBuilder(
    app.Configuration["database"] ?? "Host=127.0.0.1;Username=weft;Database=weft;Maximum Pool Size=20").Build();
using Prices prices = new(new Uri(app.Configuration["service"] ?? "http://127.0.0.1:5001"));
int connections = new NpgsqlConnectionStringBuilder(source.ConnectionString).MaxPoolSize;
switch (args[0])
{
    case "goroutines":
        app.UseGoroutines();
        BlockingEndpoints.Map(app, new Items(source, connections), prices);
        break;
    case "threads":
        BlockingEndpoints.Map(app, new Items(source, null), prices);
        break;
    case "async":
        AsyncEndpoints.Map(app, source, prices);
        break;
    case "query":
        return Query.Run(int.Parse(args[1]), new Items(source, connections));
    default:
        Console.Error.WriteLine($"web: there is no mode '{args[0]}'");
        return 2;
}
app.Run();
return 0;
