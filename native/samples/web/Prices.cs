using System.Text.Json;

namespace Web;

/// <summary>The other service, asked by HTTP.</summary>
internal sealed class Prices(Uri service) : IDisposable
{
    private readonly HttpClient _client = new() { BaseAddress = service };

    public void Dispose() => _client.Dispose();

    internal int Of(int id, CancellationToken token)
    {
        using HttpRequestMessage request = Request(id);
        using HttpResponseMessage answer = _client.Send(request, token);
        using Stream body = answer.EnsureSuccessStatusCode().Content.ReadAsStream(token);
        return JsonSerializer.Deserialize(body, AnswerJson.Default.Price)!.Cents;
    }

    internal async Task<int> OfAsync(int id, CancellationToken token)
    {
        using HttpRequestMessage request = Request(id);
        using HttpResponseMessage answer = await _client.SendAsync(request, token);
        using Stream body = await answer.EnsureSuccessStatusCode().Content.ReadAsStreamAsync(token);
        return (await JsonSerializer.DeserializeAsync(body, AnswerJson.Default.Price, token))!.Cents;
    }

    private static HttpRequestMessage Request(int id) => new(HttpMethod.Get, $"price/{id}");
}
