# syntax=docker/dockerfile:1
# docs/deployment.md says how to build and run it.

FROM node:24.21.0-bookworm-slim AS build
WORKDIR /build
COPY . .
RUN npm ci --no-audit --no-fund --loglevel=error && npm run --silent build
RUN npm prune --omit=dev --no-audit --no-fund --loglevel=error
# npm lists what is installed only if nothing is missing.
RUN npm pkg delete devDependencies && npm sbom --sbom-format=cyclonedx > sbom.cdx.json

FROM node:24.21.0-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production COUNTERSIGN_HOST=0.0.0.0
COPY --from=build /build/package.json /build/LICENSE /build/sbom.cdx.json ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/policies ./policies
COPY --from=build /build/proto ./proto
COPY --from=build /build/dist ./dist
RUN ln -s /app/dist/main.js /usr/local/bin/countersign && chmod +x dist/main.js
USER 65532:65532
EXPOSE 8480
# The process answers. Whether it takes writes is for monitoring, not for restarts.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["node", "-e", "fetch('http://127.0.0.1:8480/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve", "--config", "/etc/countersign/countersign.yaml"]
