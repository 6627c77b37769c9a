//! The contract of `feature.v1`: who may call which method, and on which resource.

#![allow(clippy::unwrap_used)]

use feature_api::schema::{Access, Exemption, Operation, Schema};

/// The right to call a method: a permission, or the right to the same operation of the feature service.
enum Right {
    To(&'static str, Option<Exemption>),
    As(Operation),
}

#[test]
fn methods_keep_their_rights_and_name_their_resource() {
    use Right::{As, To};
    let read = || To("feature.definition.read", Some(Exemption::Anywhere));
    let write = || To("feature.definition.write", None);
    let history = || To("feature.history.read", None);
    let delete = || To("feature.definition.delete", None);
    #[rustfmt::skip]
    let table = [
        // (method, right, the field that names the resource)
        ("DefinitionService/CreateFeatureDefinition",      write(),             "parent"),
        ("DefinitionService/GetFeatureDefinition",         read(),              "name"),
        ("DefinitionService/ListFeatureDefinitions",       read(),              "parent"),
        ("DefinitionService/SearchFeatures",               read(),              "parent"),
        ("DefinitionService/UpdateFeatureDefinition",      write(),             "feature_definition.name"),
        ("DefinitionService/DeprecateFeatureDefinition",   write(),             "name"),
        ("DefinitionService/UndeprecateFeatureDefinition", write(),             "name"),
        ("DefinitionService/ArchiveFeatureDefinition",     delete(),            "name"),
        ("DefinitionService/UnarchiveFeatureDefinition",   delete(),            "name"),
        ("DefinitionService/DeleteFeatureDefinition",      delete(),            "name"),
        ("DefinitionService/UndeleteFeatureDefinition",    delete(),            "name"),
        ("DefinitionService/RevertFeatureDefinition",      delete(),            "name"),
        ("HistoryService/ListChanges",                     history(),           "parent"),
        ("HistoryService/GetChange",                       history(),           "name"),
        ("WatchService/WatchValues",                       As(Operation::Get),  "names"),
        ("WatchService/WatchChanges",                      history(),           "parent"),
        ("SettingsService/GetSettings",                    As(Operation::Get),  "name"),
        ("SettingsService/BatchGetSettings",               As(Operation::Get),  "names"),
        ("SettingsService/UpdateSettings",                 As(Operation::Set),  "name"),
        ("SettingsService/BatchUpdateSettings",            As(Operation::Set),  "requests.name"),
        ("SettingsService/RevertSettings",                 As(Operation::Set),  "name"),
        ("SettingsService/ResetSettings",                  As(Operation::Reset), "name"),
        ("SettingsService/EraseUser",                      To("feature.history.delete", None), "name"),
        ("SettingsService/ExplainFeature",                 As(Operation::Get),  "name"),
        ("SettingsService/ListScopes",                     As(Operation::Get),  "parent"),
        ("SettingsService/ListOverrides",                  As(Operation::Get),  "parent"),
    ];
    let schema = Schema::new(feature_api::descriptor_pool()).unwrap();
    let own = schema.methods().filter(|method| method.path.starts_with("/feature.v1."));
    assert_eq!(own.count(), table.len(), "a method was added: add it to this table");
    for (method, right, field) in table {
        let method = schema.method(&format!("/feature.v1.{method}")).unwrap_or_else(|| panic!("{method} is gone"));
        let expected = match right {
            To(name, exception) => Access::Permission { name: name.to_owned(), exception },
            As(operation) => Access::SameAs(operation),
        };
        assert_eq!(method.access, Some(expected), "{}", method.path);
        assert_eq!(method.name_field.as_deref(), Some(field), "{}", method.path);
        assert_eq!(method.operation, None, "{}", method.path);
    }
}
