//! Who asks: passwords, tokens, identity tokens, and nobody.

use corten_images::registry::{Credential, RegistryError};
use integration_tests::registry::{Access, Options, TestRegistry, Tokens};

use crate::{anonymous, as_user, image, open, runtime, settings, user};

fn with_access(access: Access) -> TestRegistry {
    TestRegistry::start_with(Options { access, ..Options::default() })
}

fn with_tokens(tokens: Tokens) -> TestRegistry {
    with_access(Access::Bearer(tokens))
}

fn me() -> Option<(String, String)> {
    Some(("me".into(), "secret: ä".into()))
}

#[test]
fn a_password_is_shown_when_it_is_asked_for_and_then_always() {
    let server = with_access(Access::Basic("me".into(), "secret: ä".into()));
    let _ = server.put_image("a", "1", &image());
    runtime().block_on(async {
        let name = format!("{}/a:1", server.host());
        let error = open(&anonymous(settings()), &name).await.resolve().await.unwrap_err();
        assert_eq!(error.status(), Some(401));
        server.clear_log();
        let repository = open(&as_user(&server, user()), &name).await;
        let resolved = repository.resolve().await.unwrap();
        let _ = repository.manifest(&resolved.descriptor).await.unwrap();
        let statuses: Vec<u16> = server.log().0.iter().map(|logged| logged.status).collect();
        assert_eq!(statuses, [401, 200, 200]);
        let wrong = Credential::Basic { username: "me".into(), password: "no".into() };
        let error = open(&as_user(&server, wrong), &name).await.resolve().await.unwrap_err();
        assert_eq!(error.code(), Some("UNAUTHORIZED"));
    });
}

#[test]
fn a_token_is_fetched_once_and_again_when_it_ended() {
    for (user, field) in [(None, "token"), (me(), "access_token")] {
        let server = with_tokens(Tokens { user: user.clone(), field, ..Tokens::default() });
        let _ = server.put_image("a", "1", &image());
        runtime().block_on(async {
            let credential = if user.is_some() { crate::user() } else { Credential::None };
            let repository = open(&as_user(&server, credential), &format!("{}/a:1", server.host())).await;
            let resolved = repository.resolve().await.unwrap();
            let _ = repository.manifest(&resolved.descriptor).await.unwrap();
            assert_eq!(server.log().of("/token").len(), 1, "{:?}", server.log().lines());
            assert!(server.log().of("/token")[0].query.contains("scope=repository:a:pull"));
            server.expire_tokens();
            let _ = repository.manifest(&resolved.descriptor).await.unwrap();
            assert_eq!(server.log().of("/token").len(), 2, "{:?}", server.log().lines());
        });
    }
}

#[test]
fn an_identity_token_is_only_posted() {
    let tokens = Tokens { user: me(), refresh_token: Some("identity".into()), ..Tokens::default() };
    let server = with_tokens(tokens);
    let _ = server.put_image("a", "1", &image());
    runtime().block_on(async {
        let credential = Credential::IdentityToken("identity".into());
        let _ = open(&as_user(&server, credential), &format!("{}/a:1", server.host())).await.resolve().await.unwrap();
        let log = server.log();
        assert_eq!(log.of("/token").len(), 1);
        assert_eq!((log.of("/token")[0].method.as_str(), log.of("/token")[0].query.as_str()), ("POST", ""));
    });
}

#[test]
fn an_identity_token_is_a_password_where_no_form_is_taken() {
    let tokens = Tokens { user: Some((String::new(), "identity".into())), ..Tokens::default() };
    let server = with_tokens(tokens);
    let _ = server.put_image("a", "1", &image());
    runtime().block_on(async {
        let name = format!("{}/a:1", server.host());
        let resolved = |token: &str| {
            let registry = as_user(&server, Credential::IdentityToken(token.into()));
            let name = name.clone();
            async move { open(&registry, &name).await.resolve().await }
        };
        let _ = resolved("identity").await.unwrap();
        let methods: Vec<String> = server.log().of("/token").iter().map(|asked| asked.method.clone()).collect();
        assert_eq!(methods, ["POST", "GET"]);
        // What the form was refused with is what is told.
        assert_eq!(resolved("another").await.unwrap_err().status(), Some(405));
    });
}

#[test]
fn a_registry_token_is_shown_as_it_is() {
    let server = with_tokens(Tokens::default());
    runtime().block_on(async {
        let credential = Credential::RegistryToken("mine".into());
        let error = open(&as_user(&server, credential), &format!("{}/a:1", server.host())).await.resolve().await;
        assert_eq!(error.unwrap_err().status(), Some(401));
        assert_eq!(server.log().0[1].authorization.as_deref(), Some("Bearer mine"));
    });
}

#[test]
fn a_wrong_password_is_refused_by_the_token_server_by_name() {
    let server = with_tokens(Tokens { user: me(), ..Tokens::default() });
    runtime().block_on(async {
        let wrong = Credential::Basic { username: "me".into(), password: "no".into() };
        let error =
            open(&as_user(&server, wrong), &format!("{}/a:1", server.host())).await.resolve().await.unwrap_err();
        assert_eq!((error.status(), error.host()), (Some(401), Some(server.host().as_str())));
    });
}

#[test]
fn a_login_tells_the_identity_token() {
    let tokens = Tokens { user: me(), refresh_token: Some("identity".into()), ..Tokens::default() };
    let server = with_tokens(tokens);
    let basic = with_access(Access::Basic("me".into(), "secret: ä".into()));
    runtime().block_on(async {
        let registry = anonymous(settings());
        let login = registry.login(&server.host(), &user()).await.unwrap();
        assert_eq!(login.identity_token.as_deref(), Some("identity"));
        assert_eq!(registry.login(&basic.host(), &user()).await.unwrap().identity_token, None);
        let wrong = Credential::Basic { username: "me".into(), password: "no".into() };
        for host in [server.host(), basic.host()] {
            let error = registry.login(&host, &wrong).await.unwrap_err();
            assert_eq!(error.status(), Some(401), "{error:?}");
        }
        registry.ping(&server.host()).await.unwrap();
        assert!(matches!(registry.ping("127.0.0.1:1").await, Err(RegistryError::Connect { .. })));
    });
}

#[test]
fn a_mirror_is_not_told_who_asks() {
    let mirror = with_access(Access::Basic("me".into(), "secret: ä".into()));
    runtime().block_on(async {
        let settings = corten_images::registry::Settings {
            mirrors: vec![mirror.url()],
            // Nothing answers for Hub here.
            proxies: Some(corten_images::registry::Proxies {
                https: "http://127.0.0.1:1".into(),
                ..Default::default()
            }),
            ..settings()
        };
        let credentials = std::sync::Arc::new(corten_images::registry::ForDomain::new("docker.io", user()));
        let registry = corten_images::registry::Registry::new(settings, credentials).unwrap();
        let _ = open(&registry, "a:1").await.resolve().await.unwrap_err();
        assert!(!mirror.log().0.is_empty());
        assert!(mirror.log().0.iter().all(|logged| logged.authorization.is_none()));
    });
}
