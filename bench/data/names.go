package data

// payers are in order.
var payers = [...]string{
	"AETNA COMMERCIAL", "BLUE CROSS PPO", "CASH PRICE", "CIGNA HMO", "DE-IDENTIFIED MAX", "DE-IDENTIFIED MIN", "GROSS CHARGE", "HUMANA",
	"KAISER", "MEDICAID", "MEDICARE", "UNITED HEALTHCARE",
}

// states are those of the USA, by name.
var states = [...]string{
	"AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN",
	"MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA",
	"WA", "WV", "WI", "WY",
}
