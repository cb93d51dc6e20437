//! Everything of the crate.

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use weft::{
    dial, go, go_light, sleep, yield_now, Cancelled, Chan, Listener, RecvTimeoutError, Select, SendError, TrySendError,
};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

/// Counts how many there are, so that a lost or doubled one shows.
struct Counted<'a>(&'a AtomicI32, String);

impl<'a> Counted<'a> {
    fn new(live: &'a AtomicI32, text: &str) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Counted(live, text.to_string())
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn values_are_moved_and_none_is_lost() {
    static LIVE: AtomicI32 = AtomicI32::new(0);
    let chan = Chan::new(2);
    chan.send(Counted::new(&LIVE, "a")).unwrap();
    chan.send(Counted::new(&LIVE, "b")).unwrap();
    assert_eq!(chan.len(), 2);
    let back = chan.try_send(Counted::new(&LIVE, "c"));
    assert!(matches!(back, Err(TrySendError::Full(c)) if c.1 == "c"));
    let back = chan.send_timeout(Counted::new(&LIVE, "d"), MS);
    assert!(matches!(back, Err(TrySendError::Full(d)) if d.1 == "d"));
    assert_eq!(LIVE.load(Ordering::SeqCst), 2);
    assert_eq!(chan.recv().unwrap().1, "a");
    chan.close();
    assert!(!chan.close());
    let back = chan.send(Counted::new(&LIVE, "e"));
    assert!(matches!(back, Err(SendError(e)) if e.1 == "e"));
    assert!(matches!(chan.try_send(Counted::new(&LIVE, "f")), Err(TrySendError::Closed(_))));
    assert_eq!(LIVE.load(Ordering::SeqCst), 1);
    let clone = chan.clone();
    drop(chan);
    assert_eq!(LIVE.load(Ordering::SeqCst), 1);
    drop(clone); // With the last one goes what is in it.
    assert_eq!(LIVE.load(Ordering::SeqCst), 0);

    let nothing = Chan::<()>::new(1);
    nothing.send(()).unwrap();
    assert_eq!(nothing.recv(), Some(()));
    assert_eq!(nothing.try_recv(), Err(RecvTimeoutError::Timeout));
    assert_eq!(nothing.recv_timeout(MS), Err(RecvTimeoutError::Timeout));
    assert_eq!(nothing.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    nothing.close();
    assert_eq!(nothing.recv(), None);
    assert_eq!(nothing.recv_timeout(LONG), Err(RecvTimeoutError::Closed));
}

#[test]
fn a_select_does_one_case_and_drops_what_the_others_had() {
    static LIVE: AtomicI32 = AtomicI32::new(0);
    let (a, b) = (Chan::new(1), Chan::new(1));
    a.send(Counted::new(&LIVE, "a")).unwrap();
    let chosen = Select::new()
        .recv(&b, |_| unreachable!())
        .recv(&a, |value: Option<Counted>| value.unwrap().1.clone())
        .timeout(LONG, || "late".to_string())
        .wait();
    assert_eq!(chosen, "a");
    b.send(Counted::new(&LIVE, "full")).unwrap();
    let chosen = Select::new()
        .send(&b, Counted::new(&LIVE, "dropped"), |_| unreachable!())
        .timeout(Duration::ZERO, || "nothing".to_string())
        .wait();
    assert_eq!((chosen.as_str(), LIVE.load(Ordering::SeqCst)), ("nothing", 1));
    let chosen = Select::new()
        .send(&b, Counted::new(&LIVE, "dropped"), |_| unreachable!())
        .send(&a, Counted::new(&LIVE, "sent"), |sent| sent.is_ok())
        .wait();
    assert!(chosen && LIVE.load(Ordering::SeqCst) == 2);
    assert_eq!(a.recv().unwrap().1, "sent");
    a.close();
    assert!(Select::new().recv(&a, |value| value.is_none()).wait());
    let back = Select::new().send(&a, Counted::new(&LIVE, "back"), |sent| sent.err().unwrap().1.clone()).wait();
    assert_eq!(back, "back");
    drop(b);
    assert_eq!(LIVE.load(Ordering::SeqCst), 0);
}

#[test]
fn a_goroutine_is_joined_for_its_value_or_its_panic() {
    assert_eq!(go(|| vec![1, 2]).join().unwrap(), [1, 2]);
    let panic = go(|| -> i32 { panic!("of a goroutine") }).join().unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "of a goroutine");
    // SAFETY: it uses no thread-local.
    assert_eq!(unsafe { go_light(|| 5) }.join().unwrap(), 5);
    let slow = go(|| sleep(2 * MS));
    let before = Instant::now();
    assert!(Select::new().recv(slow.done(), |_| true).timeout(LONG, || false).wait());
    slow.join().unwrap();
    assert!(before.elapsed() < LONG);
    drop(go(|| sleep(MS))); // Goes on alone.
}

thread_local! {
    static MINE: Rc<Cell<i32>> = Rc::new(Cell::new(0));
}

/// As on a thread: a value of a thread-local that is kept across waits is nobody else's.
#[test]
fn a_goroutine_keeps_its_thread() {
    let tasks: Vec<_> = (1..=30)
        .map(|number| {
            go(move || {
                let mine = MINE.with(|mine| mine.clone());
                assert_eq!(mine.get(), 0);
                let thread = std::thread::current().id();
                mine.set(number);
                for _ in 0..20 {
                    yield_now();
                    sleep(MS / 20);
                    assert_eq!((mine.get(), std::thread::current().id()), (number, thread));
                    MINE.with(|again| assert!(Rc::ptr_eq(again, &mine)));
                }
            })
        })
        .collect();
    for task in tasks {
        task.join().unwrap();
    }
}

#[test]
fn threads_and_goroutines_share_channels() {
    let (numbers, sums) = (Chan::new(4), Chan::new(0));
    let add = |numbers: Chan<u64>, sums: Chan<u64>| move || sums.send(numbers.into_iter().sum()).unwrap();
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(add(numbers.clone(), sums.clone()))).collect();
    let goroutines: Vec<_> = (0..3)
        // SAFETY: it uses no thread-local.
        .map(|_| unsafe { go_light(add(numbers.clone(), sums.clone())) })
        .collect();
    for n in 1..=3000 {
        numbers.send(n).unwrap();
    }
    numbers.close();
    assert_eq!((0..6).map(|_| sums.recv().unwrap()).sum::<u64>(), 3000 * 3001 / 2);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
}

#[test]
fn the_network_answers() {
    let listener = std::sync::Arc::new(Listener::new("127.0.0.1:0").unwrap());
    let address = format!("127.0.0.1:{}", listener.port());
    let serving = listener.clone();
    let server = go(move || {
        while let Ok(mut conn) = serving.accept() {
            go(move || {
                let mut buffer = [0; 100];
                while let Ok(n @ 1..) = conn.read(&mut buffer) {
                    conn.write_all(&buffer[..n]).unwrap();
                }
            });
        }
    });
    let mut conn = dial(&address, Some(LONG)).unwrap();
    conn.write_all(b"an answer").unwrap();
    let mut answer = [0; 9];
    conn.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"an answer");
    conn.set_deadline(Some(MS)).unwrap();
    assert_eq!(conn.read(&mut answer).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    listener.close();
    server.join().unwrap();
    assert!(dial(&address, Some(LONG)).is_err());
    assert!(Listener::new("nonsense").is_err());
}

#[test]
fn a_cancelled_one_unwinds_from_its_waits_and_loses_nothing() {
    static LIVE: AtomicI32 = AtomicI32::new(0);
    let never = Chan::<Counted>::new(0);
    let waits: [fn(&Chan<Counted<'static>>); 6] = [
        |chan| drop(chan.recv()),
        |chan| drop(chan.send(Counted::new(&LIVE, "sent"))),
        |chan| drop(chan.send_timeout(Counted::new(&LIVE, "sent"), LONG)),
        |chan| drop(chan.recv_timeout(LONG)),
        |_| sleep(LONG),
        |chan| Select::new().send(chan, Counted::new(&LIVE, "chosen"), |_| ()).timeout(LONG, || ()).wait(),
    ];
    for (i, wait) in waits.into_iter().enumerate() {
        for before in [false, true] {
            let (chan, kept) = (never.clone(), Counted::new(&LIVE, "kept"));
            let may_begin = Chan::<()>::new(0);
            let begins = may_begin.clone();
            let body = move || {
                let _kept = kept;
                while before && begins.try_recv() == Err(RecvTimeoutError::Timeout) {
                    yield_now(); // This and the look need no wait.
                }
                wait(&chan);
            };
            // SAFETY: nothing of a thread's is in it.
            let task = if i % 2 == 0 { go(body) } else { unsafe { go_light(body) } };
            if !before {
                sleep(5 * MS);
            }
            task.cancel();
            may_begin.close();
            assert!(task.join().unwrap_err().is::<Cancelled>(), "wait {i}");
        }
    }
    assert_eq!(LIVE.load(Ordering::SeqCst), 0);

    let listener = Listener::new("127.0.0.1:0").unwrap();
    let accepts = go(move || listener.accept().err().map(|error| error.code()));
    let done = go(|| 7);
    sleep(5 * MS);
    accepts.cancel();
    done.cancel();
    assert_eq!(accepts.join().unwrap(), Some(-125));
    assert_eq!(done.join().unwrap(), 7);
}
