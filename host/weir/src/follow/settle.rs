//! Settle: how healthy apps are, what a target noticed by itself, and the wait until all is well.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_cluster::Noticed;
use weir_core::health::{Health, Summary};
use weir_core::name::AppName;
use weir_core::schedule::Event;

use super::{Loop, Signal};
use crate::progress::Line;

impl Loop<'_> {
    /// A target noticed something: what drifted is looked at, and health is shown. False when nothing will
    /// happen any more.
    pub(super) async fn noticed(&mut self, noticed: Noticed) -> bool {
        self.settling.ring(&noticed.health);
        // A run under way is half of what is to come: it is assessed when it has ended.
        let rest = noticed.health.iter();
        let rest: Vec<_> = rest.filter(|app| !self.schedule.is_running(app)).collect();
        let mut changed = false;
        for app in rest {
            changed |= self.assess(app);
        }
        if changed {
            self.teller.assessed(self.follow.opening.known());
        }
        let mut going = true;
        for (app, objects) in noticed.drifted {
            going = self.on(Event::Drifted(app, objects)).await;
        }
        going
    }

    /// Asks its target how healthy an app is now; whether that is another health than before.
    pub(super) fn assess(&mut self, app: &AppName) -> bool {
        let Some(opened) = &self.opened else {
            return false;
        };
        let health = opened.syncer.health(app);
        if self.ended.health.get(app) == health.as_ref() {
            return false;
        }
        self.teller.health(app, health.as_ref());
        let before = self.ended.health.get(app).map(Summary::health);
        self.settling
            .heard(app, before, health.as_ref().map(Summary::health));
        match health {
            Some(health) => self.ended.health.insert(app.clone(), health),
            None => self.ended.health.remove(app),
        };
        true
    }

    /// Waits until every app that was synced is healthy, or one failed, or the time is over.
    pub(super) async fn settle(&mut self, wait: Duration, signals: &mut mpsc::Receiver<Signal>) {
        let synced: Vec<AppName> = self
            .ended
            .reports
            .values()
            .filter(|report| report.state.is_done())
            .map(|report| report.app.clone())
            .collect();
        for app in &synced {
            self.assess(app);
        }
        let until = Instant::now() + wait;
        let line = Line::begin("waiting until all is healthy");
        let follow = self.follow.clone();
        while let Some(text) = self.unsettled() {
            line.say(text);
            let noticed = tokio::select! {
                noticed = follow.opening.noticed() => noticed,
                _ = signals.recv() => return,
                () = tokio::time::sleep_until(until) => return,
            };
            for app in noticed.health.iter().filter(|app| synced.contains(app)) {
                self.assess(app);
            }
        }
    }

    /// What is still waited for; `None` when all is well, or something failed.
    fn unsettled(&self) -> Option<String> {
        let all = || self.ended.health.iter();
        let failed = |health: &Summary| matches!(health.health(), Health::Failed(_));
        if all().any(|(_, health)| failed(health)) {
            return None;
        }
        let waiting: Vec<_> = all().filter(|(_, h)| !h.health().is_ready()).collect();
        let (app, first) = waiting.first()?;
        let more = match waiting.len() {
            1 => String::new(),
            n => format!(" (and {} more apps)", n - 1),
        };
        Some(format!("app {app}: {}{more}", first.health()))
    }
}
