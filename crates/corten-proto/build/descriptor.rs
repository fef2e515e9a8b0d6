//! The wire format as lines of text: what two programs must agree on, and nothing else.

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// One line for each field, enum value and method, sorted; the packages of protobuf itself are left out.
pub fn lines(set: &FileDescriptorSet) -> Vec<String> {
    let mut lines = Vec::new();
    for file in set.file.iter().filter(|file| !file.package().starts_with("google.protobuf")) {
        let package = file.package();
        for message in &file.message_type {
            collect_message(package, message, &mut lines);
        }
        for kind in &file.enum_type {
            lines.extend(kind.value.iter().map(|value| enum_line(package, kind.name(), value.name(), value.number())));
        }
        for service in &file.service {
            for method in &service.method {
                let stream = |streams: bool| if streams { "stream " } else { "" };
                lines.push(format!(
                    "{package}.{}/{} {}{} -> {}{}",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type().trim_start_matches('.'),
                    stream(method.server_streaming()),
                    method.output_type().trim_start_matches('.'),
                ));
            }
        }
    }
    lines.sort();
    lines.dedup();
    lines
}

fn collect_message(parent: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{parent}.{}", message.name());
    if message.field.is_empty() {
        lines.push(format!("{name} without fields"));
    }
    for field in &message.field {
        lines.push(format!("{name}.{} {} {}", field.name(), field.number(), kind(field)));
    }
    for kind in &message.enum_type {
        lines.extend(kind.value.iter().map(|value| enum_line(&name, kind.name(), value.name(), value.number())));
    }
    for nested in &message.nested_type {
        collect_message(&name, nested, lines);
    }
}

fn enum_line(parent: &str, kind: &str, value: &str, number: i32) -> String {
    format!("{parent}.{kind}.{value} {number} enum value")
}

/// The field's type with what changes its encoding: repetition.
fn kind(field: &FieldDescriptorProto) -> String {
    let name = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    if field.label() == Label::Repeated { format!("repeated {name}") } else { name }
}
