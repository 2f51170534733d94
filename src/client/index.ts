export { type ClientFrame, follow, type FollowOptions } from "./follow.ts";
export { publish, publishAll, type PublishOptions, type SentEvent } from "./publish.ts";
