//! One target as one repository uses it: opened when it is first needed, so that a cluster that is away, or a
//! kubeconfig that is wrong, is the problem of the apps that land there and of no others.

use tokio::sync::OnceCell;
use weir_cluster::{Notices, Target};
use weir_core::allow::Rules;
use weir_core::name::RepositoryName;

use crate::config::{Bound, Places};
use crate::error::Error;
use crate::open;

/// Whose objects are watched, and who hears of them.
#[derive(Clone)]
pub(crate) struct Watch {
    /// The ledger's id.
    pub(crate) ledger: String,
    /// The repository.
    pub(crate) repository: RepositoryName,
    /// Who hears.
    pub(crate) notices: Notices,
}

/// A target that may be open.
pub(crate) struct Landing {
    bound: Bound,
    rules: Rules,
    watch: Option<Watch>,
    places: Places,
    opened: OnceCell<Target>,
}

impl Landing {
    /// Nothing is opened yet. With `watch`, what is ours there is watched from then on.
    pub(crate) fn new(bound: Bound, rules: Rules, watch: Option<Watch>, places: Places) -> Landing {
        Landing {
            bound,
            rules,
            watch,
            places,
            opened: OnceCell::new(),
        }
    }

    /// The target, opened now where it is not.
    pub(crate) async fn target(&self) -> Result<&Target, Error> {
        let (rules, watch) = (self.rules.clone(), self.watch.clone());
        let open = || open::opened(&self.bound, &self.places, rules, watch);
        self.opened.get_or_try_init(open).await
    }

    /// The target, where it was opened.
    pub(crate) fn known(&self) -> Option<&Target> {
        self.opened.get()
    }
}
