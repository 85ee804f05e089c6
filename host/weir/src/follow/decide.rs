//! A person's decision on its way into the ledger and the schedule.

use tokio::sync::oneshot;
use weir_api::{Asked, NotDecided};
use weir_core::decision::Ask;
use weir_core::schedule::Event;

use super::Loop;
use crate::journal;

impl Loop<'_> {
    /// Keeps a decision where it fits, answers whoever brought it, and has the app looked at.
    pub(super) async fn decided(
        &mut self,
        asked: Asked,
        answer: oneshot::Sender<Result<(), NotDecided>>,
    ) -> Event {
        let app = asked.app.clone();
        let rendered = self.renders_to(&app);
        let kept = match self.follow.opening.journal().await {
            Ok(journal) => journal::decide(&journal, &asked, rendered).await,
            Err(e) => Err(e),
        };
        let result = match kept {
            Ok(Ok(())) => {
                tracing::info!(%app, by = %asked.by, "decided: {}", asked.ask);
                Ok(())
            }
            Ok(Err(undecided)) => Err(NotDecided::Refused(undecided.to_string())),
            Err(e) => Err(NotDecided::Refused(e.to_string())),
        };
        let is_kept = result.is_ok();
        if is_kept && matches!(asked.ask, Ask::RollBack(_) | Ask::Resume) {
            self.repin(&app).await;
        }
        // Whoever asked may have gone; what was decided stands.
        let _ = answer.send(result);
        match is_kept {
            true => Event::Decided(app),
            false => Event::Tick,
        }
    }
}
