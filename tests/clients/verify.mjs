// What a Node service does with our access tokens: jose, our issuer's JWKS, and nothing of ours.
// One token a line on stdin; one line of JSON on stdout for each: its payload, or why it was refused.

import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [jwksUri, issuer, audience, cooldownSeconds] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(jwksUri), { cooldownDuration: Number(cooldownSeconds) * 1000 });
const expected = { issuer, audience, typ: "at+jwt", algorithms: ["ES256"] };

async function verify(token) {
  try {
    const { payload } = await jwtVerify(token, keys, expected);
    return { payload };
  } catch (error) {
    return { refused: error.code ?? String(error) };
  }
}

for await (const token of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await verify(token)));
}
