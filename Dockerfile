# The gateway as an image without a shell: `make image`, then
#   docker run --read-only -e MERIT_ADMIN_TOKEN -v merit:/data -v ./merit.toml:/etc/merit/merit.toml:ro \
#     -p 8080:8080 -p 127.0.0.1:9090:9090 merit
# Nothing is written but below /data (the keys' pepper, the store).

FROM rust:1.95-bookworm AS build
WORKDIR /build
# Dependencies are built in a layer of their own, on stand-ins for our sources, so
# that a change of ours does not build them again. Benches have no stand-in.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && sed -i '/^\[\[bench\]\]/,/^$/d' Cargo.toml \
    && cargo build --locked --release && rm -r src
COPY . .
# Newer than the stand-ins, whatever the checkout's dates are.
RUN touch src/main.rs src/lib.rs && cargo build --locked --release
# The whole file system of the image: the program, the C libraries it is linked
# with and their loader, where names are looked up, and a folder to write to.
# Certificates are compiled in.
RUN mkdir -p /image/data /image/etc \
    && cp target/release/merit /image/merit \
    && ldd target/release/merit | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /image \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && chown -R 65532:65532 /image/data

FROM scratch
COPY --from=build /image /
USER 65532:65532
WORKDIR /
# A container's loopback reaches nobody. Off loopback callers need keys, and the
# admin API its token.
ENV MERIT__SERVER__LISTEN=0.0.0.0:8080 MERIT__SERVER__ADMIN=0.0.0.0:9090
VOLUME ["/data"]
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/merit", "healthcheck"]
ENTRYPOINT ["/merit"]
CMD ["serve"]
