// The pure parts of the served pages, as far as their tests need them. The pages are plain JavaScript.

declare module "*/site/console_sql.js" {
  export function splitStatements(text: string): string[];
  export function isUnfinished(text: string): boolean;
  export function mayHoldSecret(text: string): boolean;
  export function tokens(text: string): { kind: string; text: string; start: number; open: boolean }[];
}

declare module "*/site/console_complete.js" {
  export function complete(text: string, cursor: number, tables: Map<string, string[]>): { from: number; words: string[] };
  export function sharedBeginning(words: string[]): string;
}

declare module "*/site/console_schema.js" {
  export const TABLES: Map<string, string[]>;
}

declare module "*/site/demo_talks.js" {
  export interface Said {
    key: string;
    from: number;
    text: string;
    at: number;
    state: "sending" | "sent" | "failed" | "received";
    note: string;
  }
  export interface Talk {
    messages: Said[];
    unread: number;
  }
  export const TALK_MAX: number;
  export const TEXT_MAX: number;
  export function newTalk(): Talk;
  export function readBody(data: unknown): { id: string | undefined; text: string };
  export function fromChannel(incoming: { data: unknown; userId: number; uuid: string | undefined; time: number }, me: number, now: number): Said;
  export function append(talk: Talk, message: Said): boolean;
  export function mergeHistory(talk: Talk, history: Said[]): Said[];
  export function markRead(talk: Talk): string | undefined;
  export function unreadAfter(talk: Talk, key: string | undefined): number;
  export function restoreTalks(stored: unknown): Map<number, Talk>;
  export function adopt(talk: Talk, stored: Talk): void;
  export function ago(seconds: number): string;
}
