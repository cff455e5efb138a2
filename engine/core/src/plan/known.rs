//! What is known of a place in the opened workflow: names with values, what a call is given and gives, and the calls that lead there.

use std::collections::BTreeMap;

use steps_sdk::Value;
use steps_sdk::value::ClusterName;

use super::fold::{Folded, Folder, Known};
use super::tree::{Condition, OpenCall, Opening, ROOT, SiteId};
use super::types::{Input, Late, NeedRule};
use crate::diagnostic::Problem;
use crate::id::StepId;
use crate::workflow::names::Member;

impl Known<'_> {
    /// Every name that has a value before the run.
    pub fn early(&self, site: SiteId) -> BTreeMap<String, Value> {
        let mut early = BTreeMap::new();
        for (_, site) in self.tree.seen_from(site) {
            match &site.opening {
                Opening::File => {}
                Opening::Instance(instance) => {
                    let variable = self.workflow.groups[instance.group].variable.value.clone();
                    early.entry(variable).or_insert_with(|| instance.element.clone());
                }
                Opening::Call(call) => {
                    let params = call.early.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                    early.insert("param".to_owned(), Value::Object(params));
                }
            }
        }
        let is_closed = early.contains_key("param");
        let roots = self.roots.iter().filter(|(name, _)| !is_closed || *name == "inputs");
        early.extend(roots.map(|(name, value)| (name.clone(), value.clone())));
        early
    }

    /// The path of a step.
    pub fn path(&self, step: usize, site: SiteId) -> StepId {
        StepId::new(format!("{}{}", self.tree.site(site).prefix, self.workflow.steps[step].id.value))
    }

    /// The paths of all steps that a member has become.
    pub fn paths(&self, member: Member, site: SiteId) -> Vec<StepId> {
        let mut found = Vec::new();
        self.tree.steps_of(member, site, &self.workflow.names, &mut found);
        found.into_iter().map(|(step, site)| self.path(step, site)).collect()
    }

    pub fn open_call(&self, site: SiteId) -> &OpenCall {
        match &self.tree.site(site).opening {
            Opening::Call(call) => call,
            Opening::File | Opening::Instance(_) => {
                unreachable!("only the sites of calls are asked for what they are given")
            }
        }
    }

    /// What a call gives for a param.
    pub fn arg(&self, site: SiteId, param: &str) -> &Folded {
        let open = self.open_call(site);
        open.args[param].get_or_init(|| {
            if let Some(value) = open.early.get(param) {
                return Folded::known(value.clone());
            }
            let call = &self.workflow.calls[open.call];
            let written = call.arg(param).expect("a workflow without errors gives a value to every param");
            self.folded(self.outside(site), |folder| folder.written(written))
        })
    }

    /// What an output of a call is.
    pub fn output(&self, site: SiteId, name: &str) -> &Folded {
        let open = self.open_call(site);
        open.outputs[name].get_or_init(|| {
            let outputs = &self.workflow.templates[open.template].outputs;
            let declared = outputs.iter().find(|output| output.name.value == name);
            let declared = declared.expect("the cells are those of the template's outputs");
            let mut folded = self.folded(site, |folder| folder.written(&declared.value));
            self.tell_calls(site, &mut folded.problems);
            folded
        })
    }

    /// Whether a call's steps run.
    pub fn condition(&self, site: SiteId) -> &Condition {
        let open = self.open_call(site);
        open.condition.get_or_init(|| {
            let mut problems = Vec::new();
            let mut folder = Folder::new(self, self.outside(site), &mut problems);
            let when = self.workflow.calls[open.call].when.as_ref();
            let late = when.and_then(|when| folder.condition(when));
            let needs = folder.needs;
            Condition { late, needs, problems }
        })
    }

    /// Folds the kubeconfigs that steps give; every site is open by then.
    pub fn fold_kubeconfigs(&mut self) {
        let with_source = self.workflow.clusters.iter().filter_map(|cluster| Some((cluster, cluster.from.as_ref()?)));
        self.kubeconfigs = with_source
            .map(|(cluster, from)| (cluster.name.value.clone(), self.folded(ROOT, |folder| folder.written(from))))
            .collect();
    }

    /// What a step waits for because of the clusters that it works on.
    pub fn wait_for_clusters(&self, clusters: &[ClusterName], needs: &mut BTreeMap<StepId, NeedRule>) {
        for made in clusters.iter().filter_map(|cluster| self.kubeconfigs.get(&cluster.0)) {
            made.needs.iter().for_each(|(step, rule)| super::fold::wait(needs, step.clone(), *rule));
        }
    }

    fn folded(&self, site: SiteId, fold: impl FnOnce(&mut Folder<'_, '_>) -> Input) -> Folded {
        let mut problems = Vec::new();
        let mut folder = Folder::new(self, site, &mut problems);
        let input = fold(&mut folder);
        let needs = folder.needs;
        Folded { input, needs, problems }
    }

    fn outside(&self, site: SiteId) -> SiteId {
        self.tree.site(site).outer.expect("a call stands somewhere")
    }

    /// What is wrong with what calls are given and give, and with kubeconfigs that steps give.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            self.kubeconfigs.values().flat_map(|kubeconfig| kubeconfig.problems.clone()).collect();
        for (index, site) in self.tree.sites.iter().enumerate() {
            let Opening::Call(call) = &site.opening else { continue };
            let at = SiteId(index);
            let args = call.args.keys().map(|param| self.arg(at, param));
            let outputs = call.outputs.keys().map(|output| self.output(at, output));
            let mut found: Vec<Problem> = args.flat_map(|folded| folded.problems.clone()).collect();
            found.extend(self.condition(at).problems.clone());
            self.tell_calls(self.outside(at), &mut found);
            problems.extend(found);
            problems.extend(outputs.flat_map(|folded| folded.problems.clone()));
        }
        problems
    }

    /// Says of problems in a template through which calls they came.
    pub fn tell_calls(&self, site: SiteId, problems: &mut [Problem]) {
        for (_, site) in self.tree.around(site) {
            let Opening::Call(call) = &site.opening else { continue };
            for problem in problems.iter_mut() {
                let title = site.prefix.trim_end_matches('.');
                let at = self.workflow.calls[call.call].at;
                problem.related.push((at, format!("in `{title}`, which is called here")));
            }
        }
    }

    /// The conditions of the calls around a site, outermost first; what they need is added to `needs`.
    pub fn conditions(&self, site: SiteId, needs: &mut BTreeMap<StepId, NeedRule>) -> Vec<Late> {
        let mut conditions = Vec::new();
        for (id, around) in self.tree.around(site) {
            if let Opening::Call(_) = around.opening {
                let condition = self.condition(id);
                if let Some(late) = &condition.late {
                    conditions.push(late.clone());
                    for (step, rule) in &condition.needs {
                        super::fold::wait(needs, step.clone(), *rule);
                    }
                }
            }
        }
        conditions.reverse();
        conditions
    }
}
