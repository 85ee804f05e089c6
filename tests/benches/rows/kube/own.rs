//! Weir's side without its process: the target as the host drives it, and no ledger.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use tokio::runtime::Runtime;
use weir_cluster::Target;
use weir_cluster::kube::{KubeAccess, KubeLimits, KubePlace, KubeTarget};
use weir_core::digest::Digest;
use weir_core::inventory::Inventory;
use weir_core::name::{AppName, RepositoryName, TargetName};
use weir_core::object::Object;
use weir_core::owner::Claim;
use weir_core::plan::{Others, plan};
use weir_core::reveal::AsRendered;
use weir_core::stake::{Stake, StakeId, StakeLog, stake};

/// How many requests are under way at once, on both sides.
pub(super) const IN_FLIGHT: usize = KubeLimits::HOST.in_flight;

/// The target, and who uses it.
pub(super) struct Own {
    target: Target,
    claim: Claim,
}

/// Keeps no stake: what the ledger costs is in the row of the whole process.
struct NoLedger;

impl StakeLog for NoLedger {
    type Error = Infallible;
    async fn append_stake(
        &self,
        _: &RepositoryName,
        _: &AppName,
        _: Stake,
    ) -> Result<StakeId, Infallible> {
        Ok(StakeId(0))
    }
}

impl Own {
    pub(super) fn open(runtime: &Runtime, kubeconfig: &Path) -> Result<Own> {
        let access = KubeAccess {
            place: KubePlace::Current,
            kubeconfig: vec![kubeconfig.to_owned()],
            in_cluster: false,
            account: None,
        };
        let opened = runtime.block_on(KubeTarget::open(&access, KubeLimits::HOST))?;
        Ok(Own {
            target: Target::Kube(Arc::new(opened)),
            claim: Claim {
                ledger: "bench".to_owned(),
                repository: "bench".parse()?,
                app: "bench".parse()?,
            },
        })
    }

    /// Brings objects to where nothing is.
    pub(super) async fn first(&self, objects: &[Object]) -> Result<()> {
        let (claim, name) = (&self.claim, TargetName::default_target());
        let live = self
            .target
            .observe(claim, objects, &BTreeSet::new())
            .await?;
        let plan = plan(objects, &Inventory::default(), &live, &Others::default());
        let (created, wanted) = (plan.counts().created, objects.len());
        ensure!(
            created == wanted,
            "{created} of {wanted} objects are planned"
        );
        let staked = stake(
            &NoLedger,
            &claim.repository,
            &claim.app,
            plan,
            &name,
            None,
            Digest::of(b""),
        );
        let staked = match staked.await {
            Ok(staked) => staked,
            Err(never) => match never {},
        };
        let applied = self
            .target
            .apply(claim, staked, &AsRendered, Arc::new(|_| {}))
            .await?;
        match applied.failure() {
            Some((id, failure)) => bail!("{id}: {}", failure.why),
            None => Ok(()),
        }
    }
}
