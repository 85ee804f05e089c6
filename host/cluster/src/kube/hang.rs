//! What is waited for and may hang: the right to do it is lent to others meanwhile.

use std::pin::pin;
use std::time::Duration;

/// Does something under a permit, which is given back when it takes longer than `patience`; it goes on without.
pub(super) async fn lent<P, T>(permit: P, patience: Duration, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    match tokio::time::timeout(patience, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            drop(permit);
            work.await
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn the_permit_of_what_hangs_is_lent_to_others_and_what_hangs_still_ends() {
        let flight = Semaphore::new(1);
        let (answer, answered) = oneshot::channel();
        let hangs = async { lent(flight.acquire().await, PATIENCE, answered).await };
        let other = async {
            let permit = flight.acquire().await;
            answer.send("late").unwrap();
            drop(permit);
        };
        let (late, ()) = tokio::join!(hangs, other);
        assert_eq!(late.unwrap(), "late");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_holds_its_permit_until_then() {
        let flight = Semaphore::new(1);
        let quick = async {
            let work = tokio::time::sleep(PATIENCE / 2);
            lent(flight.acquire().await, PATIENCE, work).await;
        };
        let begin = tokio::time::Instant::now();
        let other = async {
            drop(flight.acquire().await);
            begin.elapsed()
        };
        let ((), waited) = tokio::join!(quick, other);
        assert!(waited >= PATIENCE / 2, "{waited:?}");
    }
}
