# syntax=docker/dockerfile:1

FROM rust:1.95.0-slim-trixie AS rust

FROM node:24.19.0-trixie-slim AS build
# Rust compiles the emitter to WebAssembly; a C compiler links the build scripts and tools that run here.
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup \
    CARGO_HOME=/usr/local/cargo \
    RUSTUP_TOOLCHAIN=1.95.0 \
    PATH=/usr/local/cargo/bin:$PATH
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked <<'EOF'
set -eu
rm -f /etc/apt/apt.conf.d/docker-clean
apt-get update
apt-get install --yes --no-install-recommends gcc libc6-dev
rustup target add wasm32-unknown-unknown
EOF

WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.npm,sharing=locked npm ci
# Both become part of the page: they are addresses as the guest's browser sees them.
ARG VITE_RELAY_URL=ws://127.0.0.1:8080/v1/stream
ARG VITE_TRACES_URL=http://127.0.0.1:16686/trace
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked <<'EOF'
set -eu
npm run build --workspace atomwire
npx vite build
EOF

FROM nginxinc/nginx-unprivileged:1.30.4-alpine-slim
COPY --from=build /src/web-demo/dist /usr/share/nginx/html
COPY deploy/demo.nginx.conf /etc/nginx/conf.d/default.conf
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=2s --start-period=5s --retries=3 \
    CMD ["wget", "--quiet", "--spider", "http://127.0.0.1:8080/"]
