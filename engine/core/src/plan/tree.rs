//! Groups and calls opened: the places that steps stand in, each with what its names mean.
//!
//! A site is one opening of a scope: the file, one instance of a group, one call of a template. The same step of a template stands in
//! as many sites as the template is called. Sites are opened from outside inwards, with nothing but what is known before the run;
//! what comes late about a call, its values and outputs, is folded when it is first asked for.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use steps_sdk::Value;

use super::fold::Folded;
use super::types::{Late, Membership, NeedRule};
use crate::diagnostic::Problem;
use crate::id::StepId;
use crate::workflow::names::{FILE, Member, ScopeId};

/// Position of a site in [`Tree::sites`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SiteId(pub usize);

/// The site of the file itself.
pub(super) const ROOT: SiteId = SiteId(0);

pub(super) struct Tree {
    pub sites: Vec<Site>,
}

pub(super) struct Site {
    pub scope: ScopeId,
    /// The site that it stands in, whether its names are seen from here or not.
    pub outer: Option<SiteId>,
    /// What the paths of its steps begin with: empty, `region[alpha].`, `region[alpha].store.`.
    pub prefix: String,
    pub opening: Opening,
    /// Of the groups that stand in it, by the group's index: the instances, in the order of their list.
    pub groups: BTreeMap<usize, Vec<SiteId>>,
    /// Of the calls that stand in it, by the call's index.
    pub calls: BTreeMap<usize, SiteId>,
}

pub(super) enum Opening {
    File,
    Instance(Instance),
    Call(OpenCall),
}

/// One instance of a group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instance {
    /// Index into the workflow's groups.
    pub group: usize,
    pub key: String,
    /// What the group's variable is in it.
    pub element: Value,
    /// As the plan has it.
    pub member: Membership,
}

pub(super) struct OpenCall {
    /// Index into the workflow's calls.
    pub call: usize,
    pub template: usize,
    /// Params that had to be known to open it.
    pub early: BTreeMap<String, Value>,
    pub args: BTreeMap<String, OnceCell<Folded>>,
    pub outputs: BTreeMap<String, OnceCell<Folded>>,
    pub condition: OnceCell<Condition>,
}

/// The `when` of a call.
pub(super) struct Condition {
    /// `None`: it holds.
    pub late: Option<Late>,
    pub needs: BTreeMap<StepId, NeedRule>,
    pub problems: Vec<Problem>,
}

impl Tree {
    pub fn new() -> Tree {
        Tree {
            sites: vec![Site {
                scope: FILE,
                outer: None,
                prefix: String::new(),
                opening: Opening::File,
                groups: BTreeMap::new(),
                calls: BTreeMap::new(),
            }],
        }
    }

    pub fn site(&self, id: SiteId) -> &Site {
        &self.sites[id.0]
    }

    pub fn add(&mut self, site: Site) -> SiteId {
        self.sites.push(site);
        SiteId(self.sites.len() - 1)
    }

    /// This site and those that it stands in, innermost first.
    pub fn around(&self, id: SiteId) -> impl Iterator<Item = (SiteId, &Site)> {
        std::iter::successors(Some(id), |id| self.site(*id).outer).map(|id| (id, self.site(id)))
    }

    /// Those of them whose names are seen from here: up to the call.
    pub fn seen_from(&self, id: SiteId) -> impl Iterator<Item = (SiteId, &Site)> {
        let mut is_open = true;
        self.around(id).take_while(move |(_, site)| {
            let is_seen = is_open;
            is_open = is_open && !matches!(site.opening, Opening::Call(_));
            is_seen
        })
    }

    /// The site of a scope that is seen from here.
    pub fn site_of(&self, scope: ScopeId, from: SiteId) -> SiteId {
        let found = self.seen_from(from).find(|(_, site)| site.scope == scope);
        found.expect("names are found in the scopes around, and each of them was opened").0
    }

    /// The call that a site is made by, if it is in one.
    pub fn call_around(&self, id: SiteId) -> Option<(SiteId, &OpenCall)> {
        self.around(id).find_map(|(id, site)| match &site.opening {
            Opening::Call(call) => Some((id, call)),
            Opening::File | Opening::Instance(_) => None,
        })
    }

    /// The instance that a site is in, through calls too.
    pub fn instance_around(&self, id: SiteId) -> Option<&Instance> {
        self.around(id).find_map(|(_, site)| match &site.opening {
            Opening::Instance(instance) => Some(instance),
            Opening::File | Opening::Call(_) => None,
        })
    }

    /// What a member of a site's scope has become: the steps that are in it, each with its site.
    pub fn steps_of(
        &self,
        member: Member,
        site: SiteId,
        scopes: &crate::workflow::names::Names,
        found: &mut Vec<(usize, SiteId)>,
    ) {
        let inner = match member {
            Member::Step(step) => {
                found.push((step, site));
                return;
            }
            Member::Group(group) => self.site(site).groups[&group].clone(),
            Member::Call(call) => vec![self.site(site).calls[&call]],
        };
        for inner in inner {
            for member in &scopes.scope(self.site(inner).scope).members {
                self.steps_of(*member, inner, scopes, found);
            }
        }
    }
}
