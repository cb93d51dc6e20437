// How a request moves to a goroutine: the rest of an async method is what the goroutine runs.
//
//   thread of the pool   Kestrel reads a request ... middleware ... Run: await OnGoroutine
//   goroutine            ... the rest of Run: endpoint ... Kestrel ends the response, asks for the next
//   thread of the pool   when the next request has come
//
// With UseGoroutineSockets all of that is on goroutines, and the await changes nothing.
//
// So exceptions, cancellation and ExecutionContext are those of any async method. What awaits Run goes on on
// the goroutine, without another change of threads; if the next request is there already, it finds itself on
// one. Nobody else waits for that goroutine: only what belongs to this request, or comes after it on its
// connection.
//
// Rejected: Go.RunAsync, which completes on the pool: two changes for each request. A wrapper around each
// endpoint's RequestDelegate: the middleware before the endpoint could not block, and conventions that add
// filters run later.

using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Weft.AspNetCore;

internal static class GoroutineRequest
{
    internal static async Task Run(RequestDelegate next, HttpContext context)
    {
        if (context.Features.Get<IHttpBodyControlFeature>() is IHttpBodyControlFeature body)
        {
            body.AllowSynchronousIO = true; // Until the request ends.
        }
        await default(OnGoroutine);
        Go.Await(next(context));
    }

    /// <summary>Who awaits it goes on on a goroutine.</summary>
    private readonly struct OnGoroutine : ICriticalNotifyCompletion
    {
        public bool IsCompleted => Go.IsGoroutine;

        public OnGoroutine GetAwaiter() => this;

        public void GetResult()
        {
            if (!Go.IsGoroutine)
            {
                throw new InsufficientMemoryException("No memory for a goroutine for this request.");
            }
        }

        public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

        public void UnsafeOnCompleted(Action continuation)
        {
            try
            {
                Worker.Run(static rest => ((Action)rest!)(), continuation);
            }
            catch (InsufficientMemoryException)
            {
                continuation(); // GetResult throws: what is thrown from here would end the process.
            }
        }
    }
}
