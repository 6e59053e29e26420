//! What Kubernetes tells of a class, and of the templates that name it.
use kube::{api::ListParams, core::Status};
use saved_template_api::{SavedTemplate, SavedTemplateClass};
use saved_template_core::{
    class,
    cloud::Cloud,
    key::Key,
    kind::Kind,
    world::{ClassSeen, Users},
};

use crate::{context::Context, error::Result, object::Object};

/// Names in one page of a list.
const PAGE: u32 = 500;

/// The class of that name. One that nothing holds is woken: it holds itself once it finds that a template names it.
pub(crate) async fn class<C: Cloud>(name: &str, ctx: &Context<C>) -> ClassSeen {
    let class = match SavedTemplateClass::api(&ctx.client, None).get(name).await {
        Ok(class) => Ok(Some(class)),
        Err(kube::Error::Api(status)) if status.is_not_found() && is_of_an_object(&status) => Ok(None),
        // By its code: what answers is no Status.
        Err(kube::Error::Api(status)) if status.code == 404 => return ClassSeen::NoSuchKind,
        Err(error) => Err(error),
    };
    match class {
        Err(error) => ClassSeen::Unread(error.to_string()),
        Ok(class) => {
            let seen = class::seen(class.as_ref());
            if seen == ClassSeen::Unheld {
                let name = name.to_owned();
                ctx.wake(Key { kind: SavedTemplateClass::KIND, namespace: String::new(), name });
            }
            seen
        }
    }
}

/// Whether it is an object that was not found: of a resource that there is not, the API server names none.
fn is_of_an_object(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

/// The templates that name a class, in every namespace: another controller may serve some of them. Whoever may not list them
/// all sees those of its own namespaces.
pub(crate) async fn users<C: Cloud>(class: &str, all: bool, ctx: &Context<C>) -> Result<Users> {
    if let Some(users) = named(class, all, ctx, None).await? {
        return Ok(Users::Known(users));
    }
    let mut own = Vec::new();
    for namespace in &ctx.namespaces {
        own.extend(named(class, all, ctx, Some(namespace)).await?.unwrap_or_default());
    }
    Ok(if own.is_empty() { Users::Untold } else { Users::Known(own) })
}

/// The same, of one namespace or of all; none if they may not be listed.
async fn named<C: Cloud>(
    class: &str,
    all: bool,
    ctx: &Context<C>,
    namespace: Option<&str>,
) -> Result<Option<Vec<Key>>> {
    let templates = SavedTemplate::api(&ctx.client, namespace);
    let mut page =
        ListParams::default().fields(&format!("spec.className={class}")).limit(if all { PAGE } else { 1 });
    let mut users = Vec::new();
    loop {
        let list = match templates.list_metadata(&page).await {
            Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(None),
            list => list?,
        };
        users.extend(list.items.iter().map(SavedTemplate::key));
        match list.metadata.continue_.filter(|token| all && !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(Some(users)),
        }
    }
}
