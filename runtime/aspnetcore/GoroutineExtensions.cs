// What a web application adds: requests on goroutines, and a request's Context.

using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Weft.AspNetCore;

/// <summary>Runs the requests of ASP.NET Core on goroutines.</summary>
public static class GoroutineExtensions
{
    /// <summary>
    /// Each request goes on, from here, on a goroutine of its own: the middleware that is added after this,
    /// and the endpoint. They may block. What parks the goroutine and leaves the thread to others: everything
    /// of Weft's; <c>lock</c>, Thread.Sleep, Task.Wait and the other waits of the base library, and so
    /// <c>HttpClient.Send</c> and the synchronous calls on the request's and the response's body, which are
    /// allowed here. What costs a thread while it lasts: a file, a name that is looked up, native code.
    /// </summary>
    /// <remarks>
    /// <para>What an endpoint throws is thrown on here, to the middleware before this, as without it. A Task
    /// of an endpoint's that is not complete is awaited on the goroutine.</para>
    /// <para>ExecutionContext flows as with <c>await</c>: AsyncLocal values and Activity.Current are those of
    /// the middleware before this. <see cref="Go.Exit"/> is an exception like others here: the answer is 500.
    /// A request that there is no memory for another goroutine for fails in the same way.</para>
    /// <para>Only some of the requests: <c>app.UseWhen(context => …, branch => branch.UseGoroutines())</c>.
    /// </para>
    /// </remarks>
    /// <param name="app">The application. <c>WebApplication</c> puts routing before what is added to it, and
    /// endpoints after it.</param>
    /// <returns>The application.</returns>
    /// <exception cref="ArgumentNullException">The application is null.</exception>
    /// <exception cref="PlatformNotSupportedException">The program was not published with NativeAOT, or
    /// its .NET runtime is not one that Weft supports.</exception>
    public static IApplicationBuilder UseGoroutines(this IApplicationBuilder app)
    {
        ArgumentNullException.ThrowIfNull(app);
        _ = Go.MaxProcs; // Starts the runtime: where it cannot, that is said now and not by each request.
        return app.Use(next => context => GoroutineRequest.Run(next, context));
    }

    /// <summary>
    /// Kestrel's connections are Weft's: a goroutine waits for the input of each, and Kestrel's own work on a
    /// request runs on goroutines as well, so that a request comes to its endpoint, and the answer to the
    /// client, without a change of threads. For HTTP/1.1, HTTP/2 and TLS; TCP and Unix sockets. Together with
    /// <see cref="UseGoroutines"/>: without it, what an endpoint may do is as ever.
    /// </summary>
    /// <remarks>Named pipes and inherited handles go to Kestrel's own transport. There is no
    /// IConnectionSocketFeature, and SocketTransportOptions have no effect; KestrelServerOptions and its
    /// limits have.</remarks>
    /// <param name="builder">The host: <c>builder.WebHost</c> of a WebApplicationBuilder.</param>
    /// <returns>The host.</returns>
    /// <exception cref="ArgumentNullException">There is no host.</exception>
    /// <exception cref="PlatformNotSupportedException">See <see cref="UseGoroutines"/>.</exception>
    public static IWebHostBuilder UseGoroutineSockets(this IWebHostBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        _ = Go.MaxProcs;
        return builder.ConfigureServices(
            services => services.AddSingleton<IConnectionListenerFactory, SocketTransport>());
    }

    /// <summary>
    /// The request's context: cancelled when the client goes away, as RequestAborted, and when the request
    /// has ended, so that goroutines that still work for it end too. Every call for a request returns the
    /// same one. Go: Request.Context. Like all of HttpContext it is for one caller at a time; what it returns
    /// is for any number of goroutines.
    /// </summary>
    /// <param name="context">The request. It may be on a goroutine or not.</param>
    /// <returns>The context; its <see cref="Context.Err"/> is an OperationCanceledException when it is
    /// cancelled.</returns>
    /// <exception cref="ArgumentNullException">The context is null.</exception>
    public static Context GoContext(this HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        RequestContext? request = context.Features.Get<RequestContext>();
        if (request is null)
        {
            request = new RequestContext(context.RequestAborted);
            context.Features.Set(request);
            context.Response.RegisterForDispose(request);
        }
        return request.Context;
    }
}
