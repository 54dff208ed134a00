//! Readers that block their threads leave one to the others.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc;

use super::*;

#[test]
fn all_threads_but_one_may_be_blocked() {
    let pool = ReaderPool::start().unwrap();
    let gates: Vec<mpsc::Sender<()>> = (1..READER_THREADS)
        .map(|_| {
            let ((gate, closed), (started, begun)) = (mpsc::channel::<()>(), mpsc::channel());
            pool.handle().spawn(async move {
                started.send(()).unwrap();
                // Blocks its thread until the gate is dropped.
                closed.recv().unwrap_err();
            });
            begun.recv().unwrap();
            gate
        })
        .collect();
    let free = pool.handle().spawn(async { std::thread::current().name().map(str::to_owned) });
    let (told, name) = mpsc::channel();
    pool.handle().spawn(async move { told.send(free.await.unwrap()).unwrap() });
    assert_eq!(name.recv().unwrap().as_deref(), Some(THREAD_NAME));
    drop(gates);
}
