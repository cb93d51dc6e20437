using System.Text.Json.Serialization;

namespace Web;

internal sealed record Item(int Id, string Name);

internal sealed record Price(int Id, int Cents);

internal sealed record Offer(string Name, int Cents);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Item))]
[JsonSerializable(typeof(Price))]
[JsonSerializable(typeof(Offer))]
internal sealed partial class AnswerJson : JsonSerializerContext;
