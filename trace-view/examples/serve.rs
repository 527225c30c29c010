//! The trace view on its own: OTLP/HTTP and the page on one port.
//!
//! ```text
//! cargo run -p atomwire-trace-view --example serve [address, by default 127.0.0.1:4318]
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 your-instrumented-program
//! ```

use std::io::{self, Write};

use atomwire_trace_view::{Limits, TraceStore};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4318".to_owned());
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stdout(), "traces: http://{}/traces", listener.local_addr()?)?;
    let store = TraceStore::new(Limits::default());
    axum::serve(listener, store.otlp_http_router().merge(store.router())).await
}
