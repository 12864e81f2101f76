//! Words of the shop.

/// CloudFront, nginx and 24 services. Their order is that of [`super::spans::Origin`].
pub(super) const SERVICES: [&str; 26] = [
    "cloudfront",
    "nginx",
    "storefront",
    "gateway-bff",
    "identity",
    "profile",
    "catalogue",
    "search",
    "pricing",
    "stock",
    "basket",
    "checkout",
    "payment",
    "orders",
    "shipping",
    "recommendations",
    "reviews",
    "notifications",
    "mailer",
    "images",
    "flags",
    "sessions",
    "fraud",
    "loyalty",
    "taxes",
    "addresses",
];

pub(super) const LANGUAGES: [&str; 5] = ["java", "go", "nodejs", "python", "rust"];

/// Method, template and the service that serves it.
pub(super) const ROUTES: [(&str, &str, usize); 24] = [
    ("GET", "/", 2),
    ("GET", "/api/v2/products", 3),
    ("GET", "/api/v2/products/{id}", 3),
    ("GET", "/api/v2/products/{id}/related", 3),
    ("GET", "/api/v2/products/{id}/reviews", 16),
    ("POST", "/api/v2/products/{id}/reviews", 16),
    ("GET", "/api/v2/search", 7),
    ("GET", "/api/v2/search/suggestions", 7),
    ("GET", "/api/v2/baskets/{id}", 10),
    ("PUT", "/api/v2/baskets/{id}/items/{id}", 10),
    ("DELETE", "/api/v2/baskets/{id}/items/{id}", 10),
    ("POST", "/api/v2/checkout", 11),
    ("GET", "/api/v2/checkout/{id}", 11),
    ("POST", "/api/v2/payments", 12),
    ("GET", "/api/v2/orders", 13),
    ("GET", "/api/v2/orders/{id}", 13),
    ("GET", "/api/v2/orders/{id}/shipments", 14),
    ("POST", "/api/v2/sessions", 4),
    ("GET", "/api/v2/me", 5),
    ("PUT", "/api/v2/me/addresses/{id}", 25),
    ("GET", "/api/v2/recommendations", 15),
    ("GET", "/api/v2/images/{id}", 19),
    ("GET", "/api/v2/loyalty/points", 23),
    ("GET", "/api/v2/stock/{id}", 9),
];

pub(super) const OPERATIONS: [&str; 8] =
    ["lookup", "list", "validate", "compute", "reserve", "enrich", "authorize", "publish"];

pub(super) const TABLES: [&str; 14] = [
    "accounts",
    "addresses",
    "basket_items",
    "coupons",
    "events",
    "images",
    "order_lines",
    "orders",
    "payments",
    "prices",
    "products",
    "reviews",
    "shipments",
    "stock_levels",
];

pub(super) const USER_AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
    "ShopApp/8.2.1 (iOS 19.0; iPhone17,2)",
    "ShopApp/8.2.0 (Android 16; SM-S936B)",
    "curl/8.15.0",
];

pub(super) const EDGE_LOCATIONS: [&str; 12] = [
    "FRA60-P4", "AMS58-P1", "LHR50-C1", "CDG55-P3", "IAD89-C2", "DFW57-P1", "SFO53-P4", "NRT57-P2", "SIN52-C2",
    "SYD62-P1", "GRU3-P1", "ARN56-P1",
];

pub(super) const COUNTRIES: [&str; 12] = ["DE", "NL", "GB", "FR", "US", "US", "US", "JP", "SG", "AU", "BR", "SE"];

pub(super) const EXCEPTIONS: [&str; 5] = [
    "java.net.SocketTimeoutException",
    "java.lang.IllegalStateException",
    "io.grpc.StatusRuntimeException",
    "org.postgresql.util.PSQLException",
    "com.shop.stock.OutOfStockException",
];
