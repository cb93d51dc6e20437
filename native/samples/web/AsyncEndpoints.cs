// The same with async and await, beside which the blocking ones are measured.

using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Web;

internal static class AsyncEndpoints
{
    internal static void Map(WebApplication app, NpgsqlDataSource source, Prices prices)
    {
        app.MapGet("/", () => "hello\n");

        app.MapGet("/sleep", async () =>
        {
            await Task.Delay(200);
            return "slept\n";
        });

        app.MapGet("/item/{id}", async Task<Results<Ok<Item>, NotFound>> (int id, CancellationToken token) =>
            await Find(source, id, token) is Item item ? TypedResults.Ok(item) : TypedResults.NotFound());

        app.MapGet("/offer/{id}", async Task<Results<Ok<Offer>, NotFound>> (int id, CancellationToken token) =>
        {
            if (await Find(source, id, token) is not Item item)
            {
                return TypedResults.NotFound();
            }
            return TypedResults.Ok(new Offer(item.Name, await prices.OfAsync(id, token)));
        });
    }

    private static async Task<Item?> Find(NpgsqlDataSource source, int id, CancellationToken token)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(token);
        await using NpgsqlCommand command = Items.Command(connection, id);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(token);
        return await reader.ReadAsync(token) ? new Item(id, reader.GetString(0)) : null;
    }
}
