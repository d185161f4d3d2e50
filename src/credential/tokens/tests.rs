use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::time::{advance, sleep};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
/// How long the fake takes.
const TAKES: Duration = Duration::from_millis(200);

/// Gives tokens called `t1`, `t2`, … that live for an hour, or refuses.
#[derive(Debug, Clone, Default)]
struct Fake(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicU32,
    refuses: AtomicU32,
}

impl Source for Fake {
    fn fetch(&self) -> Fetching<'_> {
        let number = self.0.asked.fetch_add(1, Relaxed) + 1;
        Box::pin(async move {
            sleep(TAKES).await;
            if self.0.refuses.load(Relaxed) > 0 {
                return Err(Denied { failure: Failure::Key { status: 401 }, why: "no".to_owned() });
            }
            Ok(Granted { secret: Secret::new(format!("t{number}")), life: HOUR })
        })
    }
}

impl Fake {
    fn tokens(&self) -> Arc<Tokens> {
        Arc::new(Tokens::new("test".to_owned(), Box::new(self.clone())))
    }

    fn asked(&self) -> u32 {
        self.0.asked.load(Relaxed)
    }

    fn refuse(&self, yes: bool) {
        self.0.refuses.store(u32::from(yes), Relaxed);
    }
}

async fn text(tokens: &Arc<Tokens>) -> String {
    tokens.get().await.unwrap().secret.expose().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_ask_once() {
    let fake = Fake::default();
    let tokens = fake.tokens();
    let all: Vec<_> = (0..100)
        .map(|_| {
            let tokens = Arc::clone(&tokens);
            tokio::spawn(async move { text(&tokens).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), "t1");
    }
    assert_eq!((text(&tokens).await.as_str(), fake.asked()), ("t1", 1));
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_does_not_stop_the_exchange() {
    let fake = Fake::default();
    let tokens = fake.tokens();
    assert!(timeout(TAKES / 2, tokens.get()).await.is_err());
    assert_eq!((text(&tokens).await.as_str(), fake.asked()), ("t1", 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_ends_and_nobody_waits() {
    let fake = Fake::default();
    let tokens = fake.tokens();
    assert_eq!(text(&tokens).await, "t1");
    advance(HOUR.mul_f64(0.79)).await;
    assert_eq!((text(&tokens).await.as_str(), fake.asked()), ("t1", 1));
    advance(HOUR.mul_f64(0.02)).await;
    let before = Instant::now();
    for _ in 0..10 {
        assert_eq!(text(&tokens).await, "t1");
        tokio::task::yield_now().await;
    }
    assert_eq!((before.elapsed(), fake.asked()), (Duration::ZERO, 2));
    sleep(TAKES * 2).await;
    assert_eq!((text(&tokens).await.as_str(), fake.asked()), ("t2", 2));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_the_old_token_until_its_end() {
    let fake = Fake::default();
    let tokens = fake.tokens();
    assert_eq!(text(&tokens).await, "t1");
    fake.refuse(true);
    advance(HOUR.mul_f64(0.9)).await;
    for _ in 0..5 {
        assert_eq!(text(&tokens).await, "t1");
        sleep(TAKES * 2).await;
    }
    // Once, and again after a second's pause.
    assert!(fake.asked() <= 4, "{} exchanges in two seconds", fake.asked());
    advance(HOUR).await;
    assert!(matches!(tokens.get().await, Err(Failure::Key { status: 401 })));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_a_time_that_grows() {
    let fake = Fake::default();
    fake.refuse(true);
    let tokens = fake.tokens();
    for _ in 0..1000 {
        assert!(tokens.get().await.is_err());
        advance(Duration::from_millis(100)).await;
    }
    // 100 seconds: after 0, 1, 3, 7, 15, 31, 63 and no more than 100.
    assert!((5..=8).contains(&fake.asked()), "{} exchanges", fake.asked());
    fake.refuse(false);
    sleep(PAUSE.1).await;
    assert!(tokens.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once() {
    let fake = Fake::default();
    let tokens = fake.tokens();
    let old = tokens.get().await.unwrap();
    assert!(!tokens.refused(&old), "new: the account is refused, not the token");
    advance(FRESH.1).await;
    assert!(tokens.refused(&old));
    assert_eq!(text(&tokens).await, "t2");
    assert!(tokens.refused(&old), "somebody else has replaced it already");
    assert_eq!((text(&tokens).await.as_str(), fake.asked()), ("t2", 2));
    let new = tokens.get().await.unwrap();
    assert!(!tokens.refused(&new));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_takes_no_longer_than_it_may() {
    #[derive(Debug)]
    struct Silent;
    impl Source for Silent {
        fn fetch(&self) -> Fetching<'_> {
            Box::pin(std::future::pending())
        }
    }
    let tokens = Arc::new(Tokens::new("test".to_owned(), Box::new(Silent)));
    let before = Instant::now();
    assert!(matches!(tokens.get().await, Err(Failure::FirstContentTimeout)));
    assert!(before.elapsed() <= PATIENCE + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_panics_is_a_failure_and_not_the_end() {
    #[derive(Debug, Default)]
    struct Broken(AtomicU32);
    impl Source for Broken {
        fn fetch(&self) -> Fetching<'_> {
            assert!(self.0.fetch_add(1, Relaxed) > 0, "the first exchange panics");
            Box::pin(async { Ok(Granted { secret: Secret::new("good".to_owned()), life: HOUR }) })
        }
    }
    let tokens = Arc::new(Tokens::new("test".to_owned(), Box::new(Broken::default())));
    assert!(tokens.get().await.is_err());
    assert_eq!(text(&tokens).await, "good");
}

#[tokio::test(start_paused = true)]
async fn no_debug_text_has_the_token() {
    let fake = Fake::default();
    let tokens = fake.tokens();
    let token = tokens.get().await.unwrap();
    assert!(!format!("{tokens:?} {token:?}").contains("t1"));
}
