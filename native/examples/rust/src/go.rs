//! Starting goroutines, and their ends.

use crate::{check, ffi, nanoseconds, start, Chan, Error};
use std::any::Any;
use std::ffi::c_void;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const THREAD_STACK: usize = 2 << 20; // As a thread of Rust's has.
const LIGHT_STACK: usize = 256 << 10;

type Outcome<R> = Result<R, Box<dyn Any + Send>>;

/// What a goroutine unwinds with that was cancelled, and waits: `join` gives it, as a panic's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

struct Task(*mut ffi::RawTask);

// SAFETY: a handle may be used from everywhere.
unsafe impl Send for Task {}
unsafe impl Sync for Task {}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle; null is one that is known to be none.
        unsafe { ffi::weft_task_free(self.0) };
    }
}

/// A goroutine that may be waited for. Dropped: it goes on alone.
pub struct JoinHandle<R> {
    outcome: Arc<Mutex<Option<Outcome<R>>>>,
    done: Chan<()>,
    task: Task,
}

impl<R> JoinHandle<R> {
    /// From now on each wait of its unwinds with `Cancelled`, without a message; reads, writes, dial and accept give
    /// an error that says so. What needs no wait is done all the same. It drops what it has, as in a panic, so nothing
    /// may wait in a drop there: that would be a panic in a panic.
    pub fn cancel(&self) {
        // SAFETY: the handle is valid until the drop.
        unsafe { ffi::weft_task_cancel(self.task.0) };
    }

    /// Waits for its end: what the function has returned, or its panic; `Cancelled` if that has ended it.
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
    let mut handle =
        JoinHandle { outcome: Arc::new(Mutex::new(None)), done: Chan::new(0), task: Task(null_mut()) };
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
    if let Err(error) = check(unsafe { ffi::weft_task_go(&mut handle.task.0, &attr, function, argument.cast()) }) {
        drop(unsafe { Box::from_raw(argument) });
        panic!("weft_task_go: {error:?}");
    }
    handle
}

extern "C" fn locked(argument: *mut c_void) -> *mut c_void {
    // SAFETY: in a goroutine. It has not waited yet, and stays on this thread until it ends.
    unsafe { ffi::weft_lock_thread() };
    moving(argument)
}

extern "C" fn moving(argument: *mut c_void) -> *mut c_void {
    // SAFETY: it is what spawn has boxed, and is here once. The body catches panics of the user's.
    let body = unsafe { Box::from_raw(argument.cast::<Box<dyn FnOnce() + Send>>()) };
    body();
    null_mut()
}

/// The caller's wait has ended with that code, and nothing of it was done.
pub(crate) fn ended(code: i32) -> ! {
    if code == ffi::ECANCELED {
        resume_unwind(Box::new(Cancelled));
    }
    panic!("weft: {:?}", Error(code))
}

/// Waits for at least that time.
pub fn sleep(time: Duration) {
    start();
    // SAFETY: no arguments to be wrong.
    let code = unsafe { ffi::weft_sleep(nanoseconds(time)) };
    if code != 0 {
        ended(code);
    }
}

/// Lets other goroutines run.
pub fn yield_now() {
    start();
    // SAFETY: no arguments to be wrong.
    unsafe { ffi::weft_yield() };
}
