# syntax=docker/dockerfile:1

FROM rust:1.95.0-slim-trixie AS build
WORKDIR /src
# The image's own toolchain, not rust-toolchain.toml's, which adds what only development needs.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN --mount=type=bind,target=/src \
    --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/target,sharing=locked <<'EOF'
set -eu
cargo build --release -p atomwire-relay --locked --target-dir /target
install -D /target/release/atomwire-relay /out/atomwire-relay
EOF

# The image has no HTTP client, but it has bash, which can open a socket.
COPY --chmod=755 <<'EOF' /out/check-ready
#!/bin/bash
set -euo pipefail
exec 3<>/dev/tcp/127.0.0.1/8080
printf 'GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
read -r _ status _ <&3
test "$status" = 200
EOF

FROM debian:trixie-slim
# For OTLP over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /usr/local/bin/
# All addresses of the container: what is published decides. Outside one, the relay keeps to loopback.
ENV ATOMWIRE_LISTEN=0.0.0.0:8080 \
    ATOMWIRE_BUS=tcp://0.0.0.0:5555 \
    ATOMWIRE_REPLAY=tcp://0.0.0.0:5556
EXPOSE 8080 5555 5556
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=2s --start-period=5s --retries=3 CMD ["check-ready"]
ENTRYPOINT ["atomwire-relay"]
