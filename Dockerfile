# The program alone, built from this repository: docker build -t jobbell .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates tzdata && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /var/lib/jobbell --create-home --shell /usr/sbin/nologin jobbell
COPY --from=build /src/target/release/jobbell /usr/bin/jobbell
USER jobbell
ENV JOBBELL_QUEUE__STATE_DIR=/var/lib/jobbell
VOLUME /var/lib/jobbell
EXPOSE 8000
# SIGTERM ends it in order: what is being sent is finished, the rest stays in the queue.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/jobbell"]
CMD ["serve"]
