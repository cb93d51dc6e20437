// Power series as goroutines: each term is computed when somebody asks for it (Go's powser1, after McIlroy).
// A series is two channels, of requests and of terms. Series that are defined by themselves work only if
// no operation waits for more than it needs, and a split serves two readers at different places.

using System.Numerics;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class PowerSeriesTests(int procs)
{
    private const int Terms = 10;

    private readonly record struct Fraction(BigInteger Over, BigInteger Under)
    {
        internal static Fraction Of(BigInteger over, BigInteger under)
        {
            BigInteger common = BigInteger.GreatestCommonDivisor(over, under) * under.Sign;
            return new(over / common, under / common);
        }

        public static Fraction operator +(Fraction a, Fraction b) =>
            Of((a.Over * b.Under) + (b.Over * a.Under), a.Under * b.Under);

        public static Fraction operator *(Fraction a, Fraction b) =>
            Of(a.Over * b.Over, a.Under * b.Under);

        public static implicit operator Fraction(int n) => Of(n, 1);

        public override string ToString() => $"{Over}/{Under}";
    }

    [Test]
    public async Task KnownSeriesHaveTheirKnownTerms()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Series.Factory f = new(crew);
            Check(crew, "1/(1-x)", f.Ones(), _ => 1);
            Check(crew, "2/(1-x)", f.Add(f.Ones(), f.Ones()), _ => 2);
            Check(crew, "-3/(1-x)", f.Scale(-3, f.Ones()), _ => -3);
            Check(crew, "1/(1-x)^2", f.Multiply(f.Ones(), f.Ones()), n => n + 1);
            Check(
                crew,
                "1/(1-x)^3",
                f.Multiply(f.Ones(), f.Multiply(f.Ones(), f.Ones())),
                n => (n + 1) * (n + 2) / 2);
            Check(crew, "derivative", f.Differentiate(f.Ones()), n => n + 1);
            Check(crew, "-log(1-x)", f.Integrate(0, f.Ones()), n => n == 0 ? 0 : Fraction.Of(1, n));
            Check(crew, "1-x", f.Reciprocal(f.Ones()), n => n switch { 0 => 1, 1 => -1, _ => 0 });
            Check(crew, "exp", f.Exponential(f.X(1)), n => Fraction.Of(1, Factorial(n)));
            Check(
                crew,
                "exp * exp(-x)",
                f.Multiply(f.Exponential(f.X(1)), f.Exponential(f.X(-1))),
                n => n == 0 ? 1 : 0);
            // exp(-log(1-x)) = 1/(1-x)
            Check(crew, "exp(log)", f.Exponential(f.Integrate(0, f.Ones())), _ => 1);
            f.Quit.Close();
        });

        await Assert.That(failure).IsNull();
    }

    private static BigInteger Factorial(int n) => n < 2 ? 1 : n * Factorial(n - 1);

    private static void Check(Crew crew, string name, Series series, Func<int, Fraction> expected)
    {
        for (int n = 0; n < Terms; n++)
        {
            crew.Equal(series.Get(), expected(n), $"{name}: term {n}");
        }
    }

    private sealed class Series(Chan<bool> quit)
    {
        internal Chan<bool> Requests { get; } = new();

        internal Chan<Fraction> Values { get; } = new();

        /// <summary>The next term.</summary>
        internal Fraction Get()
        {
            Do(Requests.SendCase(true));
            ReceiveCase<Fraction> receive = Values.ReceiveCase();
            Do(receive);
            return receive.Value;
        }

        /// <summary>Waits until somebody asks for a term.</summary>
        internal void AwaitRequest() => Do(Requests.ReceiveCase());

        internal void Answer(Fraction term) => Do(Values.SendCase(term));

        private void Do(SelectCase one)
        {
            if (Select.Wait(one, quit.ReceiveCase()) == 1)
            {
                Go.Exit();
            }
        }

        internal sealed class Factory(Crew crew)
        {
            internal Chan<bool> Quit { get; } = new();

            internal Series Ones() => Make(result => Endless(result, _ => 1));

            /// <summary>factor * x.</summary>
            internal Series X(int factor) => Make(result => Endless(result, n => n == 1 ? factor : 0));

            internal Series Add(Series a, Series b) =>
                Make(result => Endless(result, _ => a.Get() + b.Get()));

            internal Series Scale(Fraction factor, Series a) =>
                Make(result => Endless(result, _ => factor * a.Get()));

            internal Series Integrate(Fraction constant, Series a) =>
                Make(result => Endless(result, n => n == 0 ? constant : a.Get() * Fraction.Of(1, n)));

            internal Series Differentiate(Series a) => Make(result =>
            {
                bool first = true;
                Endless(result, n =>
                {
                    if (first)
                    {
                        _ = a.Get();
                        first = false;
                    }
                    return a.Get() * (n + 1);
                });
            });

            /// <summary>(a + xA)(b + xB) = ab + x(aB + bA) + x^2 AB.</summary>
            internal Series Multiply(Series left, Series right) => Make(result =>
            {
                result.AwaitRequest();
                Fraction a = left.Get();
                Fraction b = right.Get();
                result.Answer(a * b);
                (Series a1, Series a2) = Split(left);
                (Series b1, Series b2) = Split(right);
                Series middle = Add(Scale(b, a1), Scale(a, b1));
                result.AwaitRequest();
                result.Answer(middle.Get());
                Series rest = Add(middle, Multiply(a2, b2));
                Endless(result, _ => rest.Get());
            });

            /// <summary>1 / (a + xA) = R = 1/a * (1 - xAR).</summary>
            internal Series Reciprocal(Series series) => Make(result =>
            {
                result.AwaitRequest();
                Fraction a = series.Get();
                Fraction inverse = Fraction.Of(a.Under, a.Over);
                result.Answer(inverse);
                Series own = new(Quit);
                (Series self, Series shown) = Split(own);
                crew.Go(() =>
                {
                    own.AwaitRequest();
                    own.Answer(inverse);
                    Series product = Scale(-1, Multiply(series, self));
                    Endless(own, _ => inverse * product.Get());
                });
                _ = shown.Get();
                Endless(result, _ => shown.Get());
            });

            /// <summary>E' = E * a', so E is the integral of E * a', from 1.</summary>
            internal Series Exponential(Series a)
            {
                Series own = new(Quit);
                (Series self, Series shown) = Split(own);
                Series integral = Integrate(1, Multiply(self, Differentiate(a)));
                crew.Go(() => Endless(own, _ => integral.Get()));
                return shown;
            }

            /// <summary>Two readers of one series, each at its own place.</summary>
            internal (Series, Series) Split(Series source)
            {
                Series[] outputs = [new(Quit), new(Quit)];
                crew.Go(() => ServeTwo(source, outputs));
                return (outputs[0], outputs[1]);
            }

            private void ServeTwo(Series source, Series[] outputs)
            {
                Queue<Fraction>[] ahead = [[], []];
                bool[] asked = new bool[2];
                bool fetching = false;
                ReceiveCase<bool>[] requests = [.. outputs.Select(output => output.Requests.ReceiveCase())];
                SendCase<bool> ask = source.Requests.SendCase(true);
                ReceiveCase<Fraction> term = source.Values.ReceiveCase();
                ReceiveCase<bool> quit = Quit.ReceiveCase();
                while (true)
                {
                    bool wanted = false;
                    for (int i = 0; i < 2; i++)
                    {
                        if (asked[i] && ahead[i].TryDequeue(out Fraction next))
                        {
                            outputs[i].Answer(next);
                            asked[i] = false;
                        }
                        wanted |= asked[i];
                    }
                    int chosen = Select.Wait(
                        asked[0] ? null : requests[0],
                        asked[1] ? null : requests[1],
                        wanted && !fetching ? ask : null,
                        fetching ? term : null,
                        quit);
                    switch (chosen)
                    {
                        case 0 or 1:
                            asked[chosen] = true;
                            break;

                        case 2:
                            fetching = true;
                            break;

                        case 3:
                            fetching = false;
                            ahead[0].Enqueue(term.Value);
                            ahead[1].Enqueue(term.Value);
                            break;

                        default:
                            return;
                    }
                }
            }

            private Series Make(Action<Series> body)
            {
                Series result = new(Quit);
                crew.Go(() => body(result));
                return result;
            }

            private static void Endless(Series result, Func<int, Fraction> term)
            {
                for (int n = 0; ; n++)
                {
                    result.AwaitRequest();
                    result.Answer(term(n));
                }
            }
        }
    }
}
