//! The pure half of the engine: from the text of a workflow to a plan, and from events to the state of a run.
//!
//! Nothing here reads a clock, a file, the network, the environment or chance; all of that comes in as arguments. That is why
//! every stage can be tested by the hundred in milliseconds, and why a resume decides exactly as the first run did.
//!
//! In reading order: a KDL text becomes a tree ([`syntax`]), expressions in it are checked and evaluated by [`expr`], the tree
//! becomes a typed workflow ([`workflow`]), the workflow with its inputs becomes a plan ([`plan`]), and a run of the plan is a fold
//! over events with a decision after each ([`run`]).

pub mod diagnostic;
pub mod id;
pub mod limits;
pub mod terminal;

pub mod syntax;

pub mod expr;

pub mod workflow;

pub mod plan;

pub mod run;
