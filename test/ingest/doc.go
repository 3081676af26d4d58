// Package ingest tests pulls from real servers of PostgreSQL, MariaDB and Dolt, and from repositories of git. A server whose programs are
// not installed is skipped, unless the environment says CI=true.
package ingest
