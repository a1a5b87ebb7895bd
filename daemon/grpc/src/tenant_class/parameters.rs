//! What an order of a class may or must say.

use landlord_core::{
    Class, Level,
    catalog::storage_gib_max,
    environment::{DISPLAY_NAME_CHARS_MAX, DOMAIN_CHARS_MAX, STORAGE_GIB_MAX},
    ports::{StackParameter, Stacks},
};
use landlord_proto::v1::{OrderParameter, order_parameter::Type};

/// The parameters of a class, the required first.
pub(crate) fn of(class: &Class, stacks: &dyn Stacks) -> Vec<OrderParameter> {
    let length = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let mut parameters = vec![
        OrderParameter {
            required: true,
            immutable: true,
            minimum: 1,
            maximum: length(DOMAIN_CHARS_MAX),
            ..parameter("domain", Type::String)
        },
        OrderParameter {
            required: true,
            minimum: 1,
            maximum: storage_gib_max(class).unwrap_or(STORAGE_GIB_MAX).into(),
            ..parameter("storage_gib", Type::Integer)
        },
        OrderParameter {
            immutable: true,
            allowed_values: class.regions.clone(),
            default_value: class.regions.first().cloned().unwrap_or_default(),
            ..parameter("region", Type::String)
        },
    ];
    match class.level {
        Level::Cluster | Level::Node => parameters.push(OrderParameter {
            minimum: 1,
            maximum: class.node_count_max.into(),
            default_value: class.node_count.to_string(),
            ..parameter("node_count", Type::Integer)
        }),
        // It has no nodes of its own.
        Level::Namespace => {}
    }
    parameters
        .push(OrderParameter { maximum: length(DISPLAY_NAME_CHARS_MAX), ..parameter("display_name", Type::String) });
    parameters.push(parameter("labels", Type::StringMap));
    for field in ["deletion_protection", "paused"] {
        parameters.push(OrderParameter { default_value: "false".into(), ..parameter(field, Type::Boolean) });
    }
    let of_stack = class.stack.iter().flat_map(|stack| stacks.parameters(stack)).map(stack_value);
    parameters.extend(of_stack);
    parameters
}

fn parameter(field: &str, of: Type) -> OrderParameter {
    OrderParameter { field: field.into(), r#type: of.into(), ..OrderParameter::default() }
}

fn stack_value(stack: StackParameter) -> OrderParameter {
    OrderParameter {
        default_value: stack.default_value.map(|value| value.to_string()).unwrap_or_default(),
        json_schema: stack.schema.map(|schema| schema.to_string()).unwrap_or_default(),
        ..parameter(&format!("stack_values.{}", stack.path), Type::Json)
    }
}
