//! API tokens, roles, users.

use api::access::{ApiToken, ApiTokenCollection, Role, RoleCollection, User, UserCollection};
use api::device::MergePatch;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::answer::{Answer, Empty};
use super::body::Body;
use super::guard::Caller;
use super::listing::Listing;
use super::routes::Routes;
use crate::app::page::{Cursor, Page};
use crate::app::{App, roles};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .serve("ApiTokens_List", list_tokens)
        .serve("ApiTokens_Get", get_token)
        .serve("ApiTokens_Create", create_token)
        .serve("ApiTokens_Remove", remove_token)
        .serve("Roles_List", list_roles)
        .serve("Roles_Get", get_role)
        .serve("Users_List", list_users)
        .serve("Users_Get", get_user)
        .serve("Users_Create", create_user)
        .serve("Users_Update", update_user)
        .serve("Users_Remove", remove_user)
}

fn by_id(id: Option<&String>) -> Cursor {
    Cursor { name: String::new(), id: id.cloned().unwrap_or_default() }
}

async fn list_tokens(State(app): State<App>, Caller(access): Caller, listing: Listing) -> Answer<ApiTokenCollection> {
    let page = Page::of_all(app.tokens(&access).await?, &listing.page()?, |token| by_id(token.id.as_ref()));
    let (value, next_link) = listing.answer(page);
    Ok(Json(ApiTokenCollection { value, next_link }))
}

async fn get_token(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Answer<ApiToken> {
    Ok(Json(app.token(&access, &id).await?))
}

async fn create_token(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Body(token): Body<ApiToken>,
) -> Answer<ApiToken> {
    Ok(Json(app.token_create(&access, &id, &token).await?))
}

async fn remove_token(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Empty {
    app.token_delete(&access, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_roles(Caller(access): Caller, listing: Listing) -> Answer<RoleCollection> {
    let page = Page::of_all(roles::list(&access), &listing.page()?, |role| by_id(Some(&role.id)));
    let (value, next_link) = listing.answer(page);
    Ok(Json(RoleCollection { value, next_link }))
}

async fn get_role(Caller(access): Caller, Path(id): Path<String>) -> Answer<Role> {
    Ok(Json(roles::get(&access, &id)?))
}

async fn list_users(State(app): State<App>, Caller(access): Caller, listing: Listing) -> Answer<UserCollection> {
    let page = Page::of_all(app.users(&access).await?, &listing.page()?, |user| by_id(user.id.as_ref()));
    let (value, next_link) = listing.answer(page);
    Ok(Json(UserCollection { value, next_link }))
}

async fn get_user(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Answer<User> {
    Ok(Json(app.user(&access, &id).await?))
}

async fn create_user(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Body(user): Body<User>,
) -> Answer<User> {
    Ok(Json(app.user_put(&access, &id, &user).await?))
}

async fn update_user(
    State(app): State<App>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Body(MergePatch(patch)): Body<MergePatch>,
) -> Answer<User> {
    Ok(Json(app.user_patch(&access, &id, &patch).await?))
}

async fn remove_user(State(app): State<App>, Caller(access): Caller, Path(id): Path<String>) -> Empty {
    app.user_delete(&access, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
