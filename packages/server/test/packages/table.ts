/**
 * The npm packages that functions use most, each with a function that uses it and what that must answer.
 *
 * `npm run packages` tries them all. `everyTime` are those that `npm test` tries: one for each way in which packages differ.
 *
 * @module
 */

export interface PackageCase {
  readonly name: string;
  /** The whole function. */
  readonly code: string;
  /** Is part of what it answers. */
  readonly answers: string;
  /** What is special about it, for those that `npm test` tries. */
  readonly everyTime?: string;
}

/** A function whose answer is what `expression` comes to. */
function uses(name: string, imports: string, expression: string, answers: string, everyTime?: string): PackageCase {
  return {
    name,
    code: `${imports}\nexport default async () => String(${expression});`,
    answers,
    ...everyTime === undefined ? {} : { everyTime },
  };
}

export const PACKAGES: readonly PackageCase[] = [
  uses(
    "openai",
    `import OpenAI from "npm:openai@4"; import { zodResponseFormat } from "npm:openai@4/helpers/zod"; import { z } from "npm:zod@3";`,
    `new OpenAI({ apiKey: "k" }).baseURL + zodResponseFormat(z.object({ a: z.string() }), "n").type`,
    "https://api.openai.com/v1json_schema",
    "an optional peer is imported after it",
  ),
  uses("openai 6", `import OpenAI from "npm:openai@6";`, `new OpenAI({ apiKey: "k" }).baseURL`, "api.openai.com"),
  uses(
    "@anthropic-ai/sdk",
    `import Anthropic from "npm:@anthropic-ai/sdk"; import { z } from "npm:zod@4";`,
    `new Anthropic({ apiKey: "k" }).baseURL + z.string().safeParse("a").success`,
    "https://api.anthropic.comtrue",
  ),
  uses(
    "@google/generative-ai",
    `import { GoogleGenerativeAI } from "npm:@google/generative-ai@0.24";`,
    `new GoogleGenerativeAI("k").getGenerativeModel({ model: "m" }).model`,
    "models/m",
  ),
  uses(
    "ai",
    `import { generateText } from "npm:ai@5"; import { MockLanguageModelV2 } from "npm:ai@5/test";`,
    `(await generateText({ prompt: "p", model: new MockLanguageModelV2({ doGenerate: async () => ({ content: [{ type: "text", text: "said" }], finishReason: "stop", usage: {}, warnings: [] }) }) })).text`,
    "said",
  ),
  uses(
    "@langchain/core",
    `import { PromptTemplate } from "npm:@langchain/core@0.3/prompts";`,
    `await PromptTemplate.fromTemplate("hi {name}").format({ name: "you" })`,
    "hi you",
  ),
  uses(
    "@modelcontextprotocol/sdk",
    `import { McpServer } from "npm:@modelcontextprotocol/sdk@1/server/mcp.js"; import { z } from "npm:zod@3";`,
    `(() => { const s = new McpServer({ name: "n", version: "1" }); s.tool("t", { a: z.string() }, async () => ({ content: [] })); return s.isConnected(); })()`,
    "false",
  ),
  uses(
    "stripe",
    `import Stripe from "npm:stripe@17"; const stripe = new Stripe("sk_test_x", { httpClient: Stripe.createFetchHttpClient() });`,
    `await (async () => { const payload = JSON.stringify({ id: "evt_1" }); const header = await stripe.webhooks.generateTestHeaderStringAsync({ payload, secret: "whsec_x" }); return (await stripe.webhooks.constructEventAsync(payload, header, "whsec_x")).id; })()`,
    "evt_1",
  ),
  uses(
    "@supabase/supabase-js",
    `import { createClient } from "npm:@supabase/supabase-js@2";`,
    `typeof createClient("http://127.0.0.1:9", "k").from("x").select`,
    "function",
    "an optional native part that is not there",
  ),
  uses(
    "@supabase/ssr",
    `import { createServerClient } from "npm:@supabase/ssr@0.6"; import { createClient } from "npm:@supabase/supabase-js@2";`,
    `typeof createServerClient("http://127.0.0.1:9", "k", { cookies: { getAll: () => [], setAll() {} } }).auth + typeof createClient`,
    "objectfunction",
  ),
  uses(
    "hono",
    `import { Hono } from "npm:hono@4"; import { cors } from "npm:hono@4/cors"; const app = new Hono(); app.use(cors()); app.get("/a/:b", (c) => c.text(c.req.param("b")));`,
    `await (await app.request("/a/x1")).text()`,
    "x1",
  ),
  uses(
    "@hono/zod-validator",
    `import { zValidator } from "npm:@hono/zod-validator@0.4"; import { Hono } from "npm:hono@4"; import { z } from "npm:zod@3"; const app = new Hono().get("/", zValidator("query", z.object({ q: z.string() })), (c) => c.text(c.req.valid("query").q));`,
    `await (await app.request("/?q=found")).text()`,
    "found",
  ),
  uses(
    "zod 3",
    `import { z } from "npm:zod@3";`,
    `z.string().email().safeParse("no").success`,
    "false",
  ),
  uses(
    "zod 4",
    `import * as z from "npm:zod@4";`,
    `z.object({ e: z.email() }).safeParse({ e: "no" }).success`,
    "false",
  ),
  uses(
    "valibot",
    `import * as v from "npm:valibot@1";`,
    `v.safeParse(v.pipe(v.string(), v.email()), "no").success`,
    "false",
  ),
  uses(
    "ajv",
    `import Ajv from "npm:ajv@8";`,
    `(() => { try { return new Ajv().compile({ type: "integer" })(1.5); } catch (error) { return error.message; } })()`,
    "false",
  ),
  uses("yup", `import * as yup from "npm:yup@1";`, `yup.number().isValidSync("x")`, "false"),
  uses(
    "jsonwebtoken",
    `import jwt from "npm:jsonwebtoken@9";`,
    `jwt.verify(jwt.sign({ a: 1 }, "secret"), "secret").a`,
    "1",
    "CommonJS all the way down",
  ),
  uses(
    "jose",
    `import * as jose from "npm:jose@5"; const key = new TextEncoder().encode("0123456789abcdef0123456789abcdef");`,
    `(await jose.jwtVerify(await new jose.SignJWT({ a: 7 }).setProtectedHeader({ alg: "HS256" }).sign(key), key)).payload.a`,
    "7",
  ),
  uses("bcryptjs", `import bcrypt from "npm:bcryptjs@3";`, `bcrypt.compareSync("a", bcrypt.hashSync("a", 4))`, "true"),
  uses("uuid", `import { v5, validate } from "npm:uuid@11";`, `validate(v5("a", v5.URL))`, "true"),
  uses("nanoid", `import { nanoid } from "npm:nanoid@5";`, `nanoid(11).length`, "11"),
  uses(
    "lodash",
    `import _ from "npm:lodash@4"; import debounce from "npm:lodash@4/debounce.js";`,
    `_.camelCase("a b") + typeof debounce`,
    "aBfunction",
  ),
  uses("lodash-es", `import { camelCase } from "npm:lodash-es@4";`, `camelCase("a b")`, "aB"),
  uses(
    "dayjs",
    `import dayjs from "npm:dayjs@1"; import utc from "npm:dayjs@1/plugin/utc.js"; dayjs.extend(utc);`,
    `dayjs.utc(0).format("YYYY")`,
    "1970",
  ),
  uses(
    "date-fns",
    `import { format, addDays } from "npm:date-fns@4";`,
    `format(addDays(new Date(2020, 0, 31), 1), "yyyy-MM-dd")`,
    "2020-02-01",
  ),
  uses(
    "luxon",
    `import { DateTime } from "npm:luxon@3";`,
    `DateTime.fromISO("2020-01-01T00:00:00Z").setZone("Europe/Berlin").toISO()`,
    "2020-01-01T01:00:00.000+01:00",
  ),
  uses("moment", `import moment from "npm:moment@2";`, `moment.utc(0).locale("de").format("YYYY-MM-DD")`, "1970-01-01"),
  uses(
    "axios",
    `import axios from "npm:axios@1";`,
    `axios.getUri({ url: "/a", params: { b: 1 } }) + (await axios.get("http://127.0.0.1:1/").catch((error) => error.name + axios.isAxiosError(error)))`,
    "/a?b=1",
  ),
  uses(
    "ky",
    `import ky from "npm:ky@1";`,
    `await ky.get("http://127.0.0.1:1/", { retry: 0 }).catch((error) => error.name)`,
    "TypeError",
  ),
  uses(
    "node-fetch",
    `import fetch from "npm:node-fetch@3";`,
    `await (await fetch("data:text/plain,hello")).text()`,
    "hello",
  ),
  uses("got", `import got from "npm:got@14";`, `typeof got.get`, "function"),
  uses(
    "undici",
    `import { fetch as get } from "npm:undici@6";`,
    `await (await get("data:text/plain,hello")).text()`,
    "hello",
  ),
  uses(
    "ws",
    `import WebSocket, { WebSocketServer } from "npm:ws@8";`,
    `WebSocket.OPEN + typeof WebSocketServer`,
    "1function",
  ),
  uses(
    "graphql",
    `import { graphql, buildSchema } from "npm:graphql@16";`,
    `(await graphql({ schema: buildSchema("type Query { a: Int }"), source: "{ a }", rootValue: { a: 5 } })).data.a`,
    "5",
  ),
  uses(
    "graphql-yoga",
    `import { createSchema, createYoga } from "npm:graphql-yoga@5"; const yoga = createYoga({ schema: createSchema({ typeDefs: "type Query { a: Int }", resolvers: { Query: { a: () => 6 } } }) });`,
    `await (await yoga.fetch("http://x.invalid/graphql?query=%7Ba%7D")).text()`,
    `\\"a\\":6`,
  ),
  uses(
    "express",
    `import express from "npm:express@4"; const app = express(); app.get("/", (_, res) => res.send("x"));`,
    `typeof app.handle`,
    "function",
  ),
  uses(
    "postgres",
    `import postgres from "npm:postgres@3";`,
    `typeof postgres("postgres://u:p@127.0.0.1:1/x").begin`,
    "function",
  ),
  uses(
    "pg",
    `import pg from "npm:pg@8"; const { Pool } = pg;`,
    `typeof new Pool().query + await new pg.Client({ host: "127.0.0.1", port: 1 }).connect().catch((error) => error.constructor.name !== undefined)`,
    "functiontrue",
    "an optional native part is asked for",
  ),
  uses(
    "drizzle-orm",
    `import { drizzle } from "npm:drizzle-orm@0.44/postgres-js"; import { pgTable, serial, text } from "npm:drizzle-orm@0.44/pg-core"; import postgres from "npm:postgres@3"; const users = pgTable("users", { id: serial("id"), name: text("name") });`,
    `drizzle(postgres("postgres://u:p@127.0.0.1:1/x")).select().from(users).toSQL().sql`,
    `from \\"users\\"`,
  ),
  uses(
    "drizzle-orm, pg",
    `import { drizzle } from "npm:drizzle-orm@0.44/node-postgres"; import { pgTable, serial } from "npm:drizzle-orm@0.44/pg-core"; import pg from "npm:pg@8"; const users = pgTable("users", { id: serial("id") });`,
    `drizzle(new pg.Pool()).select().from(users).toSQL().sql`,
    `from \\"users\\"`,
  ),
  uses(
    "kysely",
    `import { Kysely, DummyDriver, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from "npm:kysely@0.28"; const db = new Kysely({ dialect: { createAdapter: () => new PostgresAdapter(), createDriver: () => new DummyDriver(), createIntrospector: (d) => new PostgresIntrospector(d), createQueryCompiler: () => new PostgresQueryCompiler() } });`,
    `db.selectFrom("a").select("b").compile().sql`,
    `select \\"b\\" from \\"a\\"`,
  ),
  uses(
    "knex",
    `import knex from "npm:knex@3"; const db = knex({ client: "pg" });`,
    `db("a").where({ b: 1 }).toString()`,
    `select * from \\"a\\"`,
    "drivers that are asked for only when they are used",
  ),
  uses(
    "mongodb",
    `import { MongoClient, ObjectId } from "npm:mongodb@6";`,
    `ObjectId.isValid("x") + typeof new MongoClient("mongodb://127.0.0.1:1").db`,
    "falsefunction",
  ),
  uses("mysql2", `import mysql from "npm:mysql2@3/promise";`, `mysql.format("select ?", ["a'b"])`, `select 'a\\\\'b'`),
  uses("ioredis", `import Redis from "npm:ioredis@5";`, `typeof new Redis({ lazyConnect: true }).get`, "function"),
  uses(
    "@upstash/redis",
    `import { Redis } from "npm:@upstash/redis@1";`,
    `typeof new Redis({ url: "https://x.invalid", token: "t" }).get`,
    "function",
  ),
  uses(
    "@aws-sdk/client-s3",
    `import { S3Client, PutObjectCommand } from "npm:@aws-sdk/client-s3@3"; import { getSignedUrl } from "npm:@aws-sdk/s3-request-presigner@3"; const client = new S3Client({ region: "eu-west-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } });`,
    `await getSignedUrl(client, new PutObjectCommand({ Bucket: "bucket", Key: "key" })) + await client.send(new PutObjectCommand({ Bucket: "b", Key: "k", Body: "x" }), { abortSignal: AbortSignal.abort() }).catch((error) => error.name)`,
    "AbortError",
    "asks what machine it runs on",
  ),
  uses(
    "@aws-sdk/client-ses",
    `import { SESClient, SendEmailCommand } from "npm:@aws-sdk/client-ses@3"; const client = new SESClient({ region: "eu-west-1", endpoint: "http://127.0.0.1:1", maxAttempts: 1, credentials: { accessKeyId: "a", secretAccessKey: "b" } });`,
    `await client.send(new SendEmailCommand({ Source: "a@x.invalid", Destination: { ToAddresses: ["b@x.invalid"] }, Message: { Subject: { Data: "s" }, Body: { Text: { Data: "t" } } } })).then(() => "sent", (error) => /refused|connect/i.test(error.message))`,
    "true",
  ),
  uses(
    "nodemailer",
    `import nodemailer from "npm:nodemailer@6";`,
    `JSON.parse((await nodemailer.createTransport({ jsonTransport: true }).sendMail({ from: "a@x.invalid", to: "b@x.invalid", subject: "Grüße", text: "x" })).message).subject`,
    "Grüße",
  ),
  uses("resend", `import { Resend } from "npm:resend@4";`, `typeof new Resend("re_x").emails.send`, "function"),
  uses(
    "@sendgrid/mail",
    `import mail from "npm:@sendgrid/mail@8"; mail.setApiKey("SG.x");`,
    `typeof mail.send`,
    "function",
  ),
  uses(
    "twilio",
    `import twilio from "npm:twilio@5";`,
    `typeof twilio("AC" + "0".repeat(32), "t").messages.create`,
    "function",
  ),
  uses(
    "@slack/web-api",
    `import { WebClient } from "npm:@slack/web-api@7";`,
    `typeof new WebClient("xoxb").chat.postMessage`,
    "function",
  ),
  uses(
    "@octokit/rest",
    `import { Octokit } from "npm:@octokit/rest@21";`,
    `typeof new Octokit().rest.issues.create`,
    "function",
  ),
  uses(
    "googleapis auth",
    `import { JWT } from "npm:google-auth-library@9";`,
    `new JWT({ email: "a@x.invalid" }).email`,
    "a@x.invalid",
  ),
  uses(
    "firebase-admin",
    `import { initializeApp, cert } from "npm:firebase-admin@13/app"; import { getAuth } from "npm:firebase-admin@13/auth";`,
    `typeof getAuth(initializeApp({ projectId: "p" })).verifyIdToken + typeof cert`,
    "functionfunction",
  ),
  uses(
    "discord-interactions",
    `import { verifyKey, InteractionType } from "npm:discord-interactions@4";`,
    `InteractionType.PING + typeof verifyKey`,
    "1function",
  ),
  uses(
    "grammy",
    `import { Bot, webhookCallback } from "npm:grammy@1";`,
    `typeof webhookCallback(new Bot("1:a", { botInfo: { id: 1, is_bot: true, first_name: "b", username: "b" } }), "std/http")`,
    "function",
  ),
  uses(
    "telegraf",
    `import { Telegraf } from "npm:telegraf@4";`,
    `typeof new Telegraf("1:a").webhookCallback`,
    "function",
  ),
  uses("cheerio", `import * as cheerio from "npm:cheerio@1";`, `cheerio.load("<p>a<b>c</b></p>")("b").text()`, "c"),
  uses("marked", `import { marked } from "npm:marked@15";`, `marked.parse("# a")`, "<h1>a</h1>"),
  uses(
    "jsdom",
    `import { JSDOM } from "npm:jsdom@26";`,
    `new JSDOM("<p>a</p>").window.document.querySelector("p").textContent`,
    "a",
  ),
  uses(
    "fast-xml-parser",
    `import { XMLParser } from "npm:fast-xml-parser@4";`,
    `new XMLParser().parse("<a><b>1</b></a>").a.b`,
    "1",
  ),
  uses(
    "rss-parser",
    `import Parser from "npm:rss-parser@3";`,
    `(await new Parser().parseString("<rss version='2.0'><channel><title>t1</title></channel></rss>")).title`,
    "t1",
  ),
  uses("papaparse", `import Papa from "npm:papaparse@5";`, `Papa.parse("a,b").data[0].length`, "2"),
  uses(
    "xlsx",
    `import * as XLSX from "npm:xlsx@0.18";`,
    `XLSX.utils.sheet_to_csv(XLSX.utils.aoa_to_sheet([[1, 2]]))`,
    "1,2",
  ),
  uses(
    "pdf-lib",
    `import { PDFDocument } from "npm:pdf-lib@1";`,
    `await (async () => { const pdf = await PDFDocument.create(); pdf.addPage(); return new TextDecoder("latin1").decode((await pdf.save()).slice(0, 5)); })()`,
    "%PDF-",
  ),
  uses(
    "pdfkit",
    `import PDFDocument from "npm:pdfkit@0.15";`,
    `await new Promise((resolve) => { const pdf = new PDFDocument(); const chunks = []; pdf.on("data", (c) => chunks.push(c)); pdf.on("end", () => resolve(chunks[0].toString("latin1", 0, 5))); pdf.text("hi"); pdf.end(); })`,
    "%PDF-",
    "reads files beside its own code",
  ),
  uses(
    "jimp",
    `import { Jimp } from "npm:jimp@1";`,
    `(await new Jimp({ width: 4, height: 2, color: 0xff0000ff }).resize({ w: 2, h: 1 }).getBuffer("image/png")).length > 20`,
    "true",
  ),
  uses(
    "qrcode",
    `import QRCode from "npm:qrcode@1";`,
    `(await QRCode.toString("a", { type: "svg" })).slice(0, 4)`,
    "<svg",
  ),
  uses(
    "@resvg/resvg-wasm",
    `import { initWasm, Resvg } from "npm:@resvg/resvg-wasm@2";`,
    `typeof initWasm + typeof Resvg`,
    "functionfunction",
  ),
  uses("satori", `import satori from "npm:satori@0.12";`, `typeof satori`, "function"),
  uses(
    "handlebars",
    `import Handlebars from "npm:handlebars@4";`,
    `(() => { try { return Handlebars.compile("a {{b}}")({ b: 1 }); } catch (error) { return error.message; } })()`,
    "a 1",
  ),
  uses("mustache", `import Mustache from "npm:mustache@4";`, `Mustache.render("a {{b}}", { b: 1 })`, "a 1"),
  uses("ejs", `import ejs from "npm:ejs@3";`, `ejs.render("a <%= b %>", { b: 1 })`, "a 1"),
  {
    name: "react, react-dom",
    code:
      `/** @jsxImportSource npm:react@18 */\nimport { renderToString } from "npm:react-dom@18/server";\nexport default () => renderToString(<b>x</b>);`,
    answers: "<b>x</b>",
    everyTime: "JSX, and a peer that is required",
  },
  uses(
    "preact",
    `import { h } from "npm:preact@10"; import render from "npm:preact-render-to-string@6";`,
    `render(h("b", null, "x"))`,
    "<b>x</b>",
    "a peer that is settled twice",
  ),
  uses(
    "pino",
    `import pino from "npm:pino@9"; const log = pino();`,
    `log.info("x") ?? log.level`,
    "info",
    "asks for the name of the host, and starts threads if it may",
  ),
  uses(
    "winston",
    `import winston from "npm:winston@3"; const log = winston.createLogger({ transports: [new winston.transports.Console()] });`,
    `log.info("x").level`,
    "info",
  ),
  uses("debug", `import debug from "npm:debug@4";`, `typeof debug("a")`, "function"),
  uses("dotenv", `import dotenv from "npm:dotenv@16";`, `dotenv.parse("A=1").A`, "1"),
  uses(
    "@sentry/deno",
    `import * as Sentry from "npm:@sentry/deno@9"; Sentry.init({ dsn: "" });`,
    `typeof Sentry.captureException`,
    "function",
  ),
  uses(
    "@sentry/node",
    `import * as Sentry from "npm:@sentry/node@9"; Sentry.init({ dsn: "" });`,
    `typeof Sentry.captureException`,
    "function",
  ),
  uses(
    "posthog-node",
    `import { PostHog } from "npm:posthog-node@4";`,
    `typeof new PostHog("k", { host: "http://127.0.0.1:1", flushInterval: 0 }).capture`,
    "function",
  ),
  uses("web-push", `import webpush from "npm:web-push@3";`, `webpush.generateVAPIDKeys().publicKey.length`, "87"),
  uses(
    "svix",
    `import { Webhook } from "npm:svix@1";`,
    `new Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign("m", new Date(0), "{}").slice(0, 3)`,
    "v1,",
  ),
  uses("effect", `import { Effect } from "npm:effect@3";`, `Effect.runSync(Effect.succeed(8))`, "8"),
  uses(
    "rxjs",
    `import { of, map, lastValueFrom } from "npm:rxjs@7";`,
    `await lastValueFrom(of(4).pipe(map((x) => x * 2)))`,
    "8",
  ),
  uses(
    "@trpc/server",
    `import { initTRPC } from "npm:@trpc/server@11"; import { fetchRequestHandler } from "npm:@trpc/server@11/adapters/fetch"; const t = initTRPC.create(); const router = t.router({ a: t.procedure.query(() => 9) });`,
    `await (await fetchRequestHandler({ endpoint: "", req: new Request("http://x.invalid/a"), router, createContext: () => ({}) })).text()`,
    `\\"data\\":9`,
  ),
  uses(
    "@clerk/backend",
    `import { createClerkClient } from "npm:@clerk/backend@1";`,
    `typeof createClerkClient({ secretKey: "sk_test_x" }).users.getUser`,
    "function",
  ),
  uses(
    "typeorm",
    `import "npm:reflect-metadata@0.2"; import { EntitySchema } from "npm:typeorm@0.3";`,
    `typeof EntitySchema`,
    "function",
  ),
  uses("typescript", `import ts from "npm:typescript@5.6";`, `ts.transpile("const a: number = 1")`, "var a = 1"),
];
