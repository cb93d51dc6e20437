// Code as one would write it for a thread. On goroutines it scales as the asynchronous one does.

using Microsoft.AspNetCore.Http.HttpResults;

namespace Web;

internal static class BlockingEndpoints
{
    internal static void Map(WebApplication app, Items items, Prices prices)
    {
        app.MapGet("/", () => "hello\n");

        app.MapGet("/sleep", () =>
        {
            Thread.Sleep(200);
            return "slept\n";
        });

        app.MapGet("/item/{id}", Results<Ok<Item>, NotFound> (int id, CancellationToken token) =>
            items.Find(id, token) is Item item ? TypedResults.Ok(item) : TypedResults.NotFound());

        app.MapGet("/offer/{id}", Results<Ok<Offer>, NotFound> (int id, CancellationToken token) =>
        {
            if (items.Find(id, token) is not Item item)
            {
                return TypedResults.NotFound();
            }
            return TypedResults.Ok(new Offer(item.Name, prices.Of(id, token)));
        });
    }
}
