//! The shop's database: SQLite in memory, each statement under a CLIENT span of the database conventions.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute;
use rusqlite::Connection;

use crate::scenario::Faults;

/// The tables and a hundred products.
const SCHEMA: &str = "
    CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, product_id INTEGER NOT NULL, quantity INTEGER NOT NULL);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
        INSERT INTO products SELECT i, 'product ' || i, 100 + i * 37 % 900 FROM n;
";

/// A statement that the shop runs: what the span says, and the SQL.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// `SELECT`, `INSERT`
    pub operation: &'static str,
    /// The table.
    pub table: &'static str,
    /// The text, with parameters.
    pub sql: &'static str,
}

/// One product by its id.
pub const FIND_PRODUCT: Statement = Statement {
    operation: "SELECT",
    table: "products",
    sql: "SELECT name || ' for ' || price_cents FROM products WHERE id = ?1",
};

/// A new order.
pub const INSERT_ORDER: Statement = Statement {
    operation: "INSERT",
    table: "orders",
    sql: "INSERT INTO orders (product_id, quantity) VALUES (?1, 1) RETURNING 'order ' || id",
};

/// The report that is slow on purpose: it multiplies the product table with itself.
pub const DAILY_REPORT: Statement = Statement {
    operation: "SELECT",
    table: "orders",
    sql: "SELECT 'turnover ' || sum(a.price_cents * b.price_cents % ?1)
          FROM products a, products b, (SELECT id FROM products LIMIT 30) c",
};

/// The database of one service. Statements run on the blocking pool, one at a time.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    tracer: SdkTracer,
    faults: Arc<Faults>,
}

impl Database {
    /// Opens and fills it.
    pub fn open(tracer: SdkTracer, faults: Arc<Faults>) -> anyhow::Result<Self> {
        let connection = Connection::open_in_memory().context("SQLite could not be opened")?;
        connection.execute_batch(SCHEMA).context("the schema could not be created")?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), tracer, faults })
    }

    /// Runs `statement` with one integer parameter; gives the first column of the first row, if there is one.
    pub async fn query(
        &self,
        parent: &Context,
        statement: Statement,
        parameter: i64,
    ) -> anyhow::Result<Option<String>> {
        let span = self
            .tracer
            .span_builder(format!("{} {}", statement.operation, statement.table))
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new(attribute::DB_SYSTEM_NAME, "sqlite"),
                KeyValue::new(attribute::DB_NAMESPACE, "shop"),
                KeyValue::new(attribute::DB_OPERATION_NAME, statement.operation),
                KeyValue::new(attribute::DB_COLLECTION_NAME, statement.table),
                KeyValue::new(attribute::DB_QUERY_TEXT, statement.sql),
            ])
            .start_with_context(&self.tracer, parent);
        let context = parent.with_span(span);
        let database = self.clone();
        let answer = tokio::task::spawn_blocking(move || database.run(statement, parameter))
            .await
            .context("the database's thread ended")?;
        match &answer {
            Ok(row) => context
                .span()
                .set_attribute(KeyValue::new(attribute::DB_RESPONSE_RETURNED_ROWS, i64::from(row.is_some()))),
            Err(error) => {
                context.span().set_attribute(KeyValue::new(attribute::ERROR_TYPE, "sqlite_error"));
                context.span().set_status(Status::error(error.to_string()));
            }
        }
        context.span().end();
        answer.with_context(|| format!("{} of {} failed", statement.operation, statement.table))
    }

    fn run(&self, statement: Statement, parameter: i64) -> rusqlite::Result<Option<String>> {
        // A database of its own on the other side of a network works on several statements at once.
        std::thread::park_timeout(self.faults.query_delay(statement.table));
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut prepared = connection.prepare(statement.sql)?;
        let mut rows = prepared.query([parameter])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    }
}
