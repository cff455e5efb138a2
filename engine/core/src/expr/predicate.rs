//! Conditions over `object`: whether something that was read from outside is as wanted.

use steps_sdk::Value;

use super::{EvalError, EvalErrorKind, Expr, ExprError, Scope, Type, Values};

/// Reads a condition and checks that it uses nothing but `object` and is true or false.
pub fn parse(text: &str) -> Result<Expr, ExprError> {
    let expr = Expr::parse(text)?;
    let scope = Scope { names: [("object".to_owned(), Type::Any)].into() };
    let (ty, problems) = expr.check(&scope);
    if let Some(problem) = problems.into_iter().next() {
        let help = match problem.code {
            "L110" => Some(
                "a condition sees nothing but `object`, which is what was read: `object.status.phase == 'Ready'`"
                    .into(),
            ),
            _ => problem.help,
        };
        return Err(ExprError { code: problem.code, message: problem.message, range: problem.range, help });
    }
    if !Type::Bool.accepts(&ty) {
        let message = format!("a condition is true or false, this is of type {ty}");
        return Err(ExprError::new("L112", 0..text.len(), message).help("compare it: `object.status.ready == true`"));
    }
    Ok(expr)
}

/// Whether the condition holds for the object. What is not there yet does not hold: an object gets its status piece by piece.
pub fn holds(condition: &Expr, object: &Value) -> Result<bool, EvalError> {
    match condition.evaluate(&Values::new().with("object", object)) {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(_) => Err(EvalError::invalid("the condition is neither true nor false", &(0..condition.text().len()))),
        Err(error) if error.kind == EvalErrorKind::Absent => Ok(false),
        Err(error) => Err(error),
    }
}
