"""The GraphQL documents of the demo's agents, each parsed once."""

from __future__ import annotations

from gql import gql

PLANS = gql("query Plans($country: String) { plans { name price dataGb subscribers(country: $country) } }")

BALANCE = gql("query Balance($id: ID!) { customer(id: $id) { name balance bills(status: OVERDUE) { id amount } } }")

CUSTOMER_PLAN = gql("query CustomerPlan($id: ID!) { customer(id: $id) { name contract plan { name price } } }")

COUNT_CUSTOMERS = gql("query CountCustomers($country: String!) { customers(country: $country, first: 1) { total } }")

NEWEST_CUSTOMER = gql("query NewestCustomer { newestCustomer { id name bills { amount } } }")

NEWEST_SCORE = gql("query NewestScore { newestCustomer { name creditScore } }")

BILL_HISTORY = gql(
    """
    query BillHistory($id: ID!) {
      customer(id: $id) { name bills { id issued amount status seal payments { paidOn failureReason } } }
    }
    """
)

NETWORK_PROBE = gql("query NetworkProbe($region: String!) { networkProbe(region: $region) { latencyMs masts } }")

CUSTOMER_PAGE = gql(
    """
    query CustomerPage($country: String, $plan: String, $first: Int!, $after: ID) {
      customers(country: $country, plan: $plan, first: $first, after: $after) {
        next
        items { id name contract plan { name } }
      }
    }
    """
)

OVERDUE_BILLS = gql(
    """
    query OverdueBills($country: String, $days: Int!) {
      bills(status: OVERDUE, country: $country, minDaysOverdue: $days, first: 12) {
        id amount daysOverdue customer { id name }
      }
    }
    """
)

PAYMENT_SUMMARY = gql(
    """
    query PaymentSummary($country: String, $method: String) {
      payments(country: $country, method: $method) { attempts failed collected failures { reason count } }
    }
    """
)

PAYMENT_HISTORY = gql(
    """
    query PaymentHistory($id: ID!) {
      customer(id: $id) { bills { id payments { paidOn amount failureReason receipt } } }
    }
    """
)

REVENUE = gql("query Revenue($country: String) { revenue(country: $country) { month billed paid } }")

CHURN_RISK = gql(
    """
    query ChurnRisk($country: String) {
      customers(country: $country, contract: "MONTHLY", first: 40) { items { name tenureMonths churnRisk } }
    }
    """
)

CREDIT_SCORES = gql(
    """
    query CreditScores($country: String) {
      customers(country: $country, first: 12) { items { name creditScore } }
    }
    """
)

SEND_REMINDER = gql("mutation SendReminder($bill: ID!) { sendReminder(billId: $bill) }")
