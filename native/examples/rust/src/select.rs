//! Select: does one of several sends and receives, and calls what belongs to it.

use crate::{ffi, go::ended, nanoseconds, Chan};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::time::Duration;

trait Choice<R> {
    /// The address in it stays valid: the choice is in a box.
    fn case(&mut self) -> ffi::Case;
    fn chosen(self: Box<Self>, result: i32) -> R;
}

/// Cases, each with what is called if it is the one.
pub struct Select<'a, R> {
    choices: Vec<Box<dyn Choice<R> + 'a>>,
    limit: Option<(i64, Box<dyn FnOnce() -> R + 'a>)>,
}

impl<'a, R> Select<'a, R> {
    pub fn new() -> Self {
        Select { choices: Vec::new(), limit: None }
    }

    /// What is received; None when the channel is closed and drained.
    pub fn recv<T: Send>(mut self, from: &'a Chan<T>, function: impl FnOnce(Option<T>) -> R + 'a) -> Self {
        self.choices.push(Box::new(Receives { from, room: MaybeUninit::uninit(), function }));
        self
    }

    /// Ok when it was sent; the value when the channel is closed. It is dropped if another case is the one.
    pub fn send<T: Send>(
        mut self,
        to: &'a Chan<T>,
        value: T,
        function: impl FnOnce(Result<(), T>) -> R + 'a,
    ) -> Self {
        self.choices.push(Box::new(Sends { to, value: Some(ManuallyDrop::new(value)), function }));
        self
    }

    /// When nothing else was ready for so long; 0: at once.
    pub fn timeout(mut self, time: Duration, function: impl FnOnce() -> R + 'a) -> Self {
        self.limit = Some((nanoseconds(time), Box::new(function)));
        self
    }

    /// Waits for one of them, and gives what its function returns.
    pub fn wait(mut self) -> R {
        let mut cases: Vec<ffi::Case> = self.choices.iter_mut().map(|choice| choice.case()).collect();
        let time = self.limit.as_ref().map_or(ffi::FOREVER, |limit| limit.0);
        // SAFETY: the addresses are in boxes that live until the call is over.
        let index = unsafe { ffi::weft_select(cases.as_mut_ptr(), cases.len() as i32, time) };
        match (index, self.limit) {
            (ffi::EAGAIN | ffi::ETIMEDOUT, Some(limit)) => (limit.1)(),
            (0.., _) => self.choices.swap_remove(index as usize).chosen(cases[index as usize].result),
            _ => ended(index),
        }
    }
}

impl<R> Default for Select<'_, R> {
    fn default() -> Self {
        Self::new()
    }
}

struct Receives<'a, T: Send, F> {
    from: &'a Chan<T>,
    room: MaybeUninit<T>,
    function: F,
}

impl<T: Send, R, F: FnOnce(Option<T>) -> R> Choice<R> for Receives<'_, T, F> {
    fn case(&mut self) -> ffi::Case {
        ffi::Case { chan: self.from.raw(), elem: self.room.as_mut_ptr().cast(), op: ffi::RECV, result: 0 }
    }

    fn chosen(self: Box<Self>, result: i32) -> R {
        // SAFETY: of the chosen case 0 means that a T was received.
        (self.function)(if result == 0 { Some(unsafe { self.room.assume_init() }) } else { None })
    }
}

struct Sends<'a, T: Send, F> {
    to: &'a Chan<T>,
    value: Option<ManuallyDrop<T>>, // None once it is the receiver's, or the function's.
    function: F,
}

impl<T: Send, R, F: FnOnce(Result<(), T>) -> R> Choice<R> for Sends<'_, T, F> {
    fn case(&mut self) -> ffi::Case {
        let value: *mut ManuallyDrop<T> = self.value.as_mut().expect("a value");
        ffi::Case { chan: self.to.raw(), elem: value.cast(), op: ffi::SEND, result: 0 }
    }

    fn chosen(mut self: Box<Self>, result: i32) -> R {
        let value = self.value.take().expect("a value");
        let this = *self;
        let function = this.into_function();
        function(if result == 0 { Ok(()) } else { Err(ManuallyDrop::into_inner(value)) })
    }
}

impl<T: Send, F> Sends<'_, T, F> {
    fn into_function(self) -> F {
        let this = ManuallyDrop::new(self);
        // SAFETY: its drop, which only drops the value, does not run; the value was taken.
        unsafe { std::ptr::read(&this.function) }
    }
}

impl<T: Send, F> Drop for Sends<'_, T, F> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            drop(ManuallyDrop::into_inner(value));
        }
    }
}
