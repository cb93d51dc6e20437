//! Channels. A move in Rust is a copy of bytes, and so is a channel of C: nothing is boxed. Who has sent a value
//! forgets it; who has received one owns it.

use crate::{check, ffi, go::ended, nanoseconds, start};
use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{size_of, ManuallyDrop, MaybeUninit};
use std::sync::Arc;
use std::time::Duration;

/// The channel is closed; the value was not sent.
#[derive(PartialEq, Eq)]
pub struct SendError<T>(pub T);

#[derive(PartialEq, Eq)]
pub enum TrySendError<T> {
    /// It would have to wait, or the time has passed.
    Full(T),
    Closed(T),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvTimeoutError {
    Timeout,
    /// Closed and drained.
    Closed,
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

pub(crate) struct Handle<T> {
    raw: *mut ffi::RawChan,
    values: PhantomData<T>,
}

// SAFETY: a handle may be used from everywhere, and gives no two callers the same T.
unsafe impl<T: Send> Send for Handle<T> {}
unsafe impl<T: Send> Sync for Handle<T> {}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle. What is received here is nobody's yet.
        unsafe {
            ffi::weft_chan_close(self.raw);
            loop {
                let mut left = MaybeUninit::<T>::uninit();
                if ffi::weft_chan_try_recv(self.raw, left.as_mut_ptr().cast()) != 0 {
                    break;
                }
                left.assume_init_drop();
            }
            ffi::weft_chan_free(self.raw);
        }
    }
}

/// A channel of T. Clones are the same channel; the last one drops what is in it.
pub struct Chan<T: Send>(Arc<Handle<T>>);

impl<T: Send> Clone for Chan<T> {
    fn clone(&self) -> Self {
        Chan(self.0.clone())
    }
}

impl<T: Send> Chan<T> {
    /// Holds capacity values without a receiver; 0: each send waits for its receive.
    pub fn new(capacity: usize) -> Self {
        start();
        let mut raw = std::ptr::null_mut();
        // SAFETY: raw is written to.
        check(unsafe { ffi::weft_chan_make(&mut raw, size_of::<T>(), capacity) }).expect("weft_chan_make");
        Chan(Arc::new(Handle { raw, values: PhantomData }))
    }

    pub(crate) fn raw(&self) -> *mut ffi::RawChan {
        self.0.raw
    }

    /// Waits while it is full.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        // SAFETY: the value is there until the call is over, and is forgotten only if it was sent.
        let value = ManuallyDrop::new(value);
        match unsafe { ffi::weft_chan_send(self.raw(), (&raw const value).cast()) } {
            0 => Ok(()),
            ffi::EPIPE => Err(SendError(ManuallyDrop::into_inner(value))),
            code => {
                drop(ManuallyDrop::into_inner(value));
                ended(code)
            }
        }
    }

    /// Does not wait.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let value = ManuallyDrop::new(value);
        // SAFETY: as in send.
        let code = unsafe { ffi::weft_chan_try_send(self.raw(), (&raw const value).cast()) };
        Self::sent(code, value)
    }

    pub fn send_timeout(&self, value: T, time: Duration) -> Result<(), TrySendError<T>> {
        let mut value = ManuallyDrop::new(value);
        let code = self.one(ffi::SEND, (&raw mut value).cast(), time);
        Self::sent(code, value)
    }

    /// Waits while it is empty; None when it is closed and drained.
    pub fn recv(&self) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: there is room for a T, and one is in it if the call succeeds.
        match unsafe { ffi::weft_chan_recv(self.raw(), value.as_mut_ptr().cast()) } {
            0 => Some(unsafe { value.assume_init() }),
            ffi::EPIPE => None,
            code => ended(code),
        }
    }

    /// Does not wait.
    pub fn try_recv(&self) -> Result<T, RecvTimeoutError> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: as in recv.
        let code = unsafe { ffi::weft_chan_try_recv(self.raw(), value.as_mut_ptr().cast()) };
        unsafe { Self::received(code, value) }
    }

    pub fn recv_timeout(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        let mut value = MaybeUninit::<T>::uninit();
        let code = self.one(ffi::RECV, value.as_mut_ptr().cast(), time);
        // SAFETY: as in recv.
        unsafe { Self::received(code, value) }
    }

    /// False if it was closed already.
    pub fn close(&self) -> bool {
        // SAFETY: the handle is valid.
        unsafe { ffi::weft_chan_close(self.raw()) == 0 }
    }

    pub fn len(&self) -> usize {
        // SAFETY: the handle is valid.
        unsafe { ffi::weft_chan_len(self.raw()) as usize }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn one(&self, op: i32, elem: *mut c_void, time: Duration) -> i32 {
        let mut case = ffi::Case { chan: self.raw(), elem, op, result: 0 };
        // SAFETY: elem is a T, or room for one, in the caller's frame.
        let index = unsafe { ffi::weft_select(&mut case, 1, nanoseconds(time)) };
        if index < 0 { index } else { case.result }
    }

    fn sent(code: i32, value: ManuallyDrop<T>) -> Result<(), TrySendError<T>> {
        match code {
            0 => Ok(()),
            ffi::EAGAIN | ffi::ETIMEDOUT => Err(TrySendError::Full(ManuallyDrop::into_inner(value))),
            ffi::EPIPE => Err(TrySendError::Closed(ManuallyDrop::into_inner(value))),
            code => {
                drop(ManuallyDrop::into_inner(value));
                ended(code)
            }
        }
    }

    /// SAFETY: code is what a call that received to value has returned.
    unsafe fn received(code: i32, value: MaybeUninit<T>) -> Result<T, RecvTimeoutError> {
        match code {
            0 => Ok(unsafe { value.assume_init() }),
            ffi::EAGAIN | ffi::ETIMEDOUT => Err(RecvTimeoutError::Timeout),
            ffi::EPIPE => Err(RecvTimeoutError::Closed),
            code => ended(code),
        }
    }
}

/// Until it is closed and drained.
impl<'a, T: Send> IntoIterator for &'a Chan<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        Iter(self)
    }
}

pub struct Iter<'a, T: Send>(&'a Chan<T>);

impl<T: Send> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv()
    }
}
