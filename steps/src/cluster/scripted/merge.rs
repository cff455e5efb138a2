//! Server-side apply, simplified: every leaf has its owners; maps are merged, lists are leaves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Stands for whoever wrote an object before it had owners.
const NOBODY: &str = "before-first-apply";

type Leaves = BTreeMap<String, Value>;

/// The object after `manager` applied `wanted`, or for each conflict the other manager and the field.
pub(super) fn apply(
    live: Option<&Value>,
    wanted: &Value,
    manager: &str,
    is_forced: bool,
) -> Result<Value, Vec<(String, String)>> {
    let name = json!({ "name": wanted["metadata"]["name"] });
    let identity = json!({ "apiVersion": wanted["apiVersion"], "kind": wanted["kind"], "metadata": name });
    let mut object = live.cloned().unwrap_or(identity);
    if let Some(namespace) = wanted.pointer("/metadata/namespace") {
        object["metadata"]["namespace"] = namespace.clone();
    }
    let mut owners = owners_of(&object);
    if let Some(live) = live.filter(|_| owners.is_empty()) {
        owners.insert(NOBODY.to_owned(), of_nobody(live));
    }
    let ours_before = owners.remove(manager).unwrap_or_default();
    let mut leaves = Leaves::new();
    collect("", wanted, &mut leaves);

    let is_taken = |pointer: &str, value: &Value| object.pointer(pointer).is_some_and(|there| there != value);
    let conflicts: Vec<(String, String)> = owners
        .iter()
        .flat_map(|(other, fields)| fields.iter().map(move |field| (other.clone(), field.clone())))
        .filter(|(_, field)| leaves.get(field).is_some_and(|value| is_taken(field, value)))
        .collect();
    if !conflicts.is_empty() && !is_forced {
        return Err(conflicts);
    }
    for (other, field) in conflicts {
        owners.get_mut(&other).expect("the owner was just seen").remove(&field);
    }
    for field in &ours_before {
        if !leaves.contains_key(field) && !owners.values().any(|fields| fields.contains(field)) {
            remove_at(&mut object, field);
        }
    }
    for (pointer, value) in &leaves {
        set_at(&mut object, pointer, value.clone());
    }
    owners.insert(manager.to_owned(), leaves.into_keys().collect());
    owners.retain(|_, fields| !fields.is_empty());
    write_owners(&mut object, owners);
    Ok(object)
}

/// Every leaf but what names the object.
fn collect(pointer: &str, value: &Value, leaves: &mut Leaves) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, inner) in fields {
                collect(&format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), inner, leaves);
            }
        }
        leaf => {
            if !["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"].contains(&pointer) {
                leaves.insert(pointer.to_owned(), leaf.clone());
            }
        }
    }
}

fn owners_of(object: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let entry = |entry: &Value| {
        let fields = entry["fieldsV1"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
        (entry["manager"].as_str().unwrap_or_default().to_owned(), fields)
    };
    entries.map(|entries| entries.iter().map(entry).collect()).unwrap_or_default()
}

/// Entries carry no time: this server has no clock.
fn write_owners(object: &mut Value, owners: BTreeMap<String, BTreeSet<String>>) {
    let entry = |(manager, fields): (String, BTreeSet<String>)| {
        let fields: Map<String, Value> = fields.into_iter().map(|field| (field, json!({}))).collect();
        let operation = if manager == NOBODY { "Update" } else { "Apply" };
        json!({ "manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields })
    };
    object["metadata"]["managedFields"] = owners.into_iter().map(entry).collect();
}

/// What was in an object that nobody owned, before it was first applied to. Measured: such an object gets an owner by the first
/// apply whatever it says, and that includes an object that was itself made by an apply with nothing but a name.
fn of_nobody(live: &Value) -> BTreeSet<String> {
    let mut leaves = Leaves::new();
    collect("", live, &mut leaves);
    let is_book_keeping = |field: &String| {
        ["/metadata/managedFields", "/metadata/resourceVersion", "/metadata/uid"].contains(&field.as_str())
    };
    leaves.into_keys().filter(|field| !is_book_keeping(field)).collect()
}

fn set_at(object: &mut Value, pointer: &str, value: Value) {
    let mut here = object;
    for key in pointer.split('/').skip(1) {
        let key = key.replace("~1", "/").replace("~0", "~");
        if !here.is_object() {
            *here = json!({});
        }
        here = here.as_object_mut().expect("just made one").entry(key).or_insert(Value::Null);
    }
    *here = value;
}

fn remove_at(object: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    if let Some(fields) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        fields.shift_remove(&key);
    }
}
