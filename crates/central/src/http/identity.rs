//! API tokens, roles, users.

use api::access::{ApiToken, Role, RoleCollection, User};
use api::device::MergePatch;
use axum::Json;
use axum::extract::{Path, State};

use super::answer::Answer;
use super::body::Body;
use super::guard::Caller;
use super::listing::Listing;
use super::resource::{Condition, Shown, get, list, remove};
use super::routes::Routes;
use crate::app::page::{Cursor, Page};
use crate::app::tokens::ApiTokens;
use crate::app::users::Users;
use crate::app::{App, roles};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("ApiTokens_List", list::<ApiTokens>)
        .serve("ApiTokens_Get", get::<ApiTokens>)
        .serve("ApiTokens_Create", create_token)
        .serve("ApiTokens_Remove", remove::<ApiTokens>)
        .serve("Roles_List", list_roles)
        .serve("Roles_Get", get_role)
        .serve("Users_List", list::<Users>)
        .serve("Users_Get", get::<Users>)
        .serve("Users_Create", create_user)
        .serve("Users_Update", update_user)
        .serve("Users_Remove", remove::<Users>)
}

impl Shown for Users {}

impl Shown for ApiTokens {}

async fn create_token(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Body(token): Body<ApiToken>,
) -> Answer<ApiToken> {
    Ok(Json(app.token_create(&access, &id, &token).await?))
}

async fn list_roles(Caller(access): Caller, listing: Listing) -> Answer<RoleCollection> {
    let page = Page::of_all(roles::list(&access), &listing.page()?, |role| Cursor::of_id(&role.id));
    let (value, next_link) = listing.answer(page);
    Ok(Json(RoleCollection { value, next_link }))
}

async fn get_role(Caller(access): Caller, Path(id): Path<String>) -> Answer<Role> {
    Ok(Json(roles::get(&access, &id)?))
}

async fn create_user(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Condition(precondition): Condition,
    Body(user): Body<User>,
) -> Answer<User> {
    Ok(Json(app.user_put(&access, &id, &user, &precondition).await?))
}

async fn update_user(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<User> {
    Ok(Json(app.user_patch(&access, &id, &patch).await?))
}
