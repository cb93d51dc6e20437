//! Three stages: numbers, their squares, the sum. The squares are made by light goroutines.

use weft::{go, go_light, Chan};

fn main() {
    let numbers = Chan::new(0);
    let squares = Chan::new(16);
    let source = numbers.clone();
    go(move || {
        for n in 1..=1000u64 {
            source.send(n).unwrap();
        }
        source.close();
    });
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (numbers, squares) = (numbers.clone(), squares.clone());
            // SAFETY: it uses no thread-local.
            unsafe {
                go_light(move || {
                    for n in &numbers {
                        squares.send(n * n).unwrap();
                    }
                })
            }
        })
        .collect();
    let all = squares.clone();
    let sum = go(move || all.into_iter().sum::<u64>());
    for worker in workers {
        worker.join().unwrap();
    }
    squares.close();
    println!("the squares of 1 to 1000 add up to {}", sum.join().unwrap());
}
