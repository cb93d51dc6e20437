//! Starting goroutines, and their ends.

use crate::{check, ffi, nanoseconds, start, Chan, Error};
use std::any::Any;
use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const THREAD_STACK: usize = 2 << 20; // As a thread of Rust's has.
const LIGHT_STACK: usize = 256 << 10;

type Outcome<R> = Result<R, Box<dyn Any + Send>>;

/// A goroutine that may be waited for. Dropped: it goes on alone.
pub struct JoinHandle<R> {
    outcome: Arc<Mutex<Option<Outcome<R>>>>,
    done: Chan<()>,
}

impl<R> JoinHandle<R> {
    /// Waits for its end: what the function has returned, or its panic.
    pub fn join(self) -> Outcome<R> {
        let _ = self.done.recv(); // Closed at the end.
        let outcome = self.outcome.lock().unwrap().take();
        outcome.expect("a goroutine has ended without an outcome")
    }

    /// Closed at its end, for a select.
    pub fn done(&self) -> &Chan<()> {
        &self.done
    }
}

/// Starts a goroutine that stays on a thread, so that thread-locals are its own. It costs one while it lives.
pub fn go<R, F>(function: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    spawn(function, THREAD_STACK, true)
}

/// Starts a goroutine that goes on in another thread after each wait.
///
/// # Safety
///
/// Between a wait and what follows it keeps nothing that came from a thread-local or that belongs to a thread; no
/// function of it uses a thread-local before and after a wait; nothing waits in a drop that a panic runs.
pub unsafe fn go_light<R, F>(function: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    spawn(function, LIGHT_STACK, false)
}

fn spawn<R, F>(function: F, stack_size: usize, stays: bool) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    start();
    let handle = JoinHandle { outcome: Arc::new(Mutex::new(None)), done: Chan::new(0) };
    let (outcome, done) = (handle.outcome.clone(), handle.done.clone());
    let body: Box<dyn FnOnce() + Send> = Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(function));
        *outcome.lock().unwrap() = Some(result);
        done.close();
    });
    let argument = Box::into_raw(Box::new(body));
    let attr =
        ffi::Attr { size: size_of::<ffi::Attr>(), stack_size, stack_kind: 0, flags: 0, name: c"rust".as_ptr() };
    let function = if stays { locked } else { moving };
    // SAFETY: the goroutine owns the argument, unless it could not be started.
    if let Err(error) = check(unsafe { ffi::weft_go_with(&attr, function, argument.cast()) }) {
        drop(unsafe { Box::from_raw(argument) });
        panic!("weft_go_with: {error:?}");
    }
    handle
}

extern "C" fn locked(argument: *mut c_void) {
    // SAFETY: in a goroutine. It has not waited yet, and stays on this thread until it ends.
    unsafe { ffi::weft_lock_thread() };
    moving(argument);
}

extern "C" fn moving(argument: *mut c_void) {
    // SAFETY: it is what spawn has boxed, and is here once. The body catches panics of the user's.
    let body = unsafe { Box::from_raw(argument.cast::<Box<dyn FnOnce() + Send>>()) };
    body();
}

/// Waits for at least that time.
pub fn sleep(time: Duration) {
    start();
    // SAFETY: no arguments to be wrong. It fails for want of memory only.
    let code = unsafe { ffi::weft_sleep(nanoseconds(time)) };
    assert!(code == 0, "weft_sleep: {:?}", Error(code));
}

/// Lets other goroutines run.
pub fn yield_now() {
    start();
    // SAFETY: no arguments to be wrong.
    unsafe { ffi::weft_yield() };
}
